"""torch: tensors and modules. Values are looked at only where that needs no other device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ante_nb.describe.arrays import numbers, thin

if TYPE_CHECKING:
    from ante_nb.describe.policy import DataPolicy


def describe(value: Any, policy: DataPolicy) -> str | None:
    """A tensor or module; ``None`` for the library's other types."""
    import torch

    if isinstance(value, torch.nn.Module):
        count = sum(item.numel() for item in value.parameters())
        inner = [f"  {name}: {type(item).__name__}" for name, item in list(value.named_children())[:40]]
        return "\n".join([f"{count} parameters", *inner])
    if not isinstance(value, torch.Tensor):
        return None
    facts = f"device: {value.device}{', requires grad' if value.requires_grad else ''}"
    kind = str(value.dtype)
    if value.device.type != "cpu" or value.layout is not torch.strided:
        return f"dtype: {kind}\n{facts}"
    seen = value.detach()
    if seen.dtype is torch.bfloat16:  # numpy has none
        seen = thin(seen).float()
    return f"{numbers(seen.numpy(), kind, policy)}\n{facts}"
