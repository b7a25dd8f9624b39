"""Cards: thin views on state that lives in the kernel. Imported when one is shown, never before."""
