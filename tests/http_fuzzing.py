"""Random requests, valid and invalid, to every operation that an application documents."""

import os
import warnings

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # from its dependencies
    schemathesis = pytest.importorskip("schemathesis", reason="schemathesis comes with the extra `dev`")

EXAMPLES = int(os.environ.get("CONFOSTAIN_FUZZ", "30"))  # of each operation
ENDLESS = "/api/events"  # a stream of events


def fuzz(app: FastAPI, client: httpx.Client, known: dict[str, list[str]]) -> dict[str, set[int]]:
    """Status codes by operation; parameters named in `known` often get one of those values."""
    statuses: dict[str, set[int]] = {}
    for result in schemathesis.openapi.from_dict(app.openapi()).get_all_operations():
        operation = result.ok()
        if operation.path == ENDLESS:
            continue
        modes = schemathesis.GenerationMode
        cases = st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in (modes.POSITIVE, modes.NEGATIVE)))
        statuses[f"{operation.method.upper()} {operation.path}"] = _sent(cases, client, known)
    return statuses


def _sent(cases: st.SearchStrategy, client: httpx.Client, known: dict[str, list[str]]) -> set[int]:
    statuses: set[int] = set()

    @settings(max_examples=EXAMPLES, deadline=None, database=None, derandomize=True,
              phases=[Phase.generate], suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(cases, st.data())
    def send(case, data):  # type: ignore[no-untyped-def]
        for name in case.path_parameters or {}:
            if name in known and data.draw(st.integers(0, 4)):
                case.path_parameters[name] = data.draw(st.sampled_from(known[name]))
        response = case.call(base_url=str(client.base_url))
        assert response.status_code < 500, (case, response.status_code)
        assert b"root:" not in response.content
        statuses.add(response.status_code)

    send()
    return statuses
