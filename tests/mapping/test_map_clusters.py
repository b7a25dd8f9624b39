"""``ante_nb.map`` over real clusters: ipyparallel's engines and Dask's workers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from support.chat_server import Reply, status, text
from support.mapped import item_of

import ante_nb

if TYPE_CHECKING:
    from support.chat_server import ChatServer

pytestmark = [
    # Theirs: sockets and files that their own shutdown leaves to the collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


def spread(executor: Any, server: ChatServer) -> None:
    """Twelve items over an executor: one fails, and runs again."""
    failed: list[str] = []

    def handler(request: Any) -> Reply:
        item = item_of(request)
        if item == "5" and not failed:
            failed.append(item)
            return Reply(status(400, {"error": {"message": "not today"}}))
        return Reply(text(f"<{item}>"))

    server.handler = handler
    result = ante_nb.map("Go.", range(12), tools="none", executor=executor, progress=False)
    assert [item.index for item in result.failed] == [5], result
    assert "not today" in str(result.failed[0].error)
    assert result.resume().texts == [f"<{number}>" for number in range(12)]
    assert len({turn.session_id for turn in result}) == 12


def test_dask(server: ChatServer) -> None:
    from dask.distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=2, threads_per_worker=2, processes=True, dashboard_address=None, host="127.0.0.1"
        ) as cluster,
        Client(cluster) as client,
    ):
        assert os.getpid() not in client.run(os.getpid).values()
        spread(client.get_executor(), server)


def test_ipyparallel(server: ChatServer) -> None:
    import ipyparallel

    cluster = ipyparallel.Cluster(n=2, controller_ip="127.0.0.1", log_level=40)
    cluster.start_cluster_sync()
    try:
        client = cluster.connect_client_sync()
        client.wait_for_engines(2, timeout=90)
        assert os.getpid() not in client[:].apply_sync(os.getpid)
        spread(client.load_balanced_view().executor, server)
        client.close()
    finally:
        cluster.stop_cluster_sync()
