"""Whether the person's browser reaches a listener on the kernel's own loopback address.

After a sign-in the vendor sends the browser to ``http://localhost:PORT``, which is the browser's machine.
Where the kernel runs elsewhere, nothing listens there, so another way to sign in comes first. A wrong guess
costs a detour, never the sign-in: the address of the page that cannot be opened may always be pasted.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# A variable that only that place sets -> what it is called. WSL is not among them: Windows forwards its
# loopback. Nor are VS Code's own variables, which a local window sets, too; its remote windows come by SSH,
# a container or Codespaces.
_PLACES: dict[str, str] = {
    "JUPYTERHUB_SERVICE_PREFIX": "JupyterHub",
    "JUPYTERHUB_API_URL": "JupyterHub",
    "COLAB_RELEASE_TAG": "Colab",
    "KAGGLE_KERNEL_RUN_TYPE": "Kaggle",
    "BINDER_SERVICE_HOST": "Binder",
    "CODESPACES": "Codespaces",
    "GITPOD_WORKSPACE_ID": "Gitpod",
    "REMOTE_CONTAINERS": "a dev container",
    "DATABRICKS_RUNTIME_VERSION": "Databricks",
    "SAGEMAKER_INTERNAL_IMAGE_URI": "SageMaker",
    "SAGEMAKER_APP_TYPE": "SageMaker",
    # Set by sshd, and inherited by a server that was started in that session; gone in a service.
    "SSH_CONNECTION": "SSH",
    "SSH_CLIENT": "SSH",
    "SSH_TTY": "SSH",
    # Every pod has it: a hub or a workbench without a variable of its own.
    "KUBERNETES_SERVICE_HOST": "Kubernetes",
}
# Docker and Podman make these; a container's loopback is not its host's, whatever ports are published.
_CONTAINER_FILES = ("/.dockerenv", "/run/.containerenv")


def elsewhere(env: Mapping[str, str], root: Path = Path("/")) -> str | None:
    """Where the kernel runs if that is not the browser's machine, as far as the environment tells.

    Args:
        env: usually ``os.environ``.
        root: the root directory, in which container engines leave a file.
    """
    for name, place in _PLACES.items():
        value = env.get(name, "").strip()
        if value and value.lower() not in ("0", "false"):
            return place
    if "google.colab" in sys.modules:
        return "Colab"
    if any((root / name.lstrip("/")).exists() for name in _CONTAINER_FILES):
        return "a container"
    return None
