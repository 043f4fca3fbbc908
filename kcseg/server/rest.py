"""TF Serving's REST API."""

import json
import re
import zlib
from collections.abc import Callable
from typing import Any

import anyio
import grpc
from google.protobuf.json_format import MessageToDict
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from kcseg.server.failure import Failure, invalid, not_found
from kcseg.server.limits import MAXIMUM_BYTES, RECEIVE_S
from kcseg.server.metrics import Metrics
from kcseg.server.model import ServedModel
from kcseg.server.queue import Queue
from kcseg.server.tensors import read_inputs, read_json, write_outputs


def rest_app(model: ServedModel, queue: Queue, metrics: Metrics) -> Starlette:
    """Return the application: status, metadata, predict, and Prometheus' page.

    Errors are `{"error": "..."}` under the HTTP status TF Serving gives them.
    """

    async def status(request: Request) -> Response:
        return _answer(_plain(model.status(*_asked(request))))

    async def metadata(request: Request) -> Response:
        name, version = _asked(request)
        servable = model.servable(name, version)
        spec = {"name": name, "signature_name": "", "version": str(servable.version)}
        return _answer({"model_spec": spec, "metadata": {"signature_def": _plain(servable.definitions)}})

    async def predict(request: Request) -> Response:
        name, version = _asked(request)
        with metrics.predict("REST"), queue.place():
            body = await _body(request)
            return Response(
                await run_in_threadpool(_predict, model, queue, name, version, body),
                media_type="application/json",
            )

    async def prometheus(_: Request) -> Response:
        return Response(metrics.text(), media_type="text/plain")

    routes = [Route("/monitoring/prometheus/metrics", prometheus)]
    for path in ("/v1/models/{name}", "/v1/models/{name}/versions/{version}"):
        # the longest first: to Starlette, a name may hold all but a slash
        routes.append(Route(path + ":predict", predict, methods=["POST"]))
        routes.append(Route(path + ":{method:str}", _not_served, methods=["POST"]))
        routes.append(Route(path + "/metadata", metadata, methods=["GET"]))
        routes.append(Route(path, status, methods=["GET"]))
    handlers = {Failure: _failed, HTTPException: _refused, Exception: _crashed}
    return Starlette(routes=routes, exception_handlers=handlers)


def _predict(model: ServedModel, queue: Queue, name: str, version: int | None, body: bytearray) -> bytes:
    """Answer in a thread of its own; the model's version is chosen when the request's turn has come."""
    with queue.turn:
        servable, request = model.servable(name, version), read_json(body)
        signature_name = request.get("signature_name", "")
        if not isinstance(signature_name, str):
            raise invalid("'signature_name' key must be a string value.")
        signature = servable.signature(signature_name)
        outputs = signature(read_inputs(request, signature.inputs))
        return json.dumps(write_outputs(outputs, as_rows="instances" in request)).encode()


async def _body(request: Request) -> bytearray:
    body, unpack = bytearray(), _unpacker(request.headers.get("content-encoding", "identity"))
    try:
        with anyio.fail_after(RECEIVE_S):
            async for part in request.stream():
                body += unpack(part)
                if len(body) > MAXIMUM_BYTES:
                    raise invalid(f"Expected at most {MAXIMUM_BYTES} bytes in a request; send fewer images")
    except zlib.error as error:
        raise invalid(f"Failed to decompress the request: {error}") from None
    except TimeoutError:
        late = f"The request did not arrive within {RECEIVE_S:g} s"
        raise Failure(grpc.StatusCode.DEADLINE_EXCEEDED, late) from None
    except ClientDisconnect:
        raise Failure(grpc.StatusCode.CANCELLED, "The client left") from None
    return body


def _unpacker(encoding: str) -> Callable[[bytes], bytes]:
    """Return what unpacks the parts of a body, no more of them than a request may have."""
    match encoding.strip().lower():
        case "identity":
            return bytes
        case "gzip":
            unpacking = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
            return lambda part: unpacking.decompress(part, MAXIMUM_BYTES + 1)
    raise HTTPException(415)


def _asked(request: Request) -> tuple[str, int | None]:
    name, version = request.path_params["name"], request.path_params.get("version")
    if ":" in name or not re.fullmatch("[0-9]{1,18}", version or "0"):
        raise _malformed(request)
    return name, int(version) if version else None


async def _not_served(request: Request) -> Response:
    method = request.path_params["method"]
    raise Failure(grpc.StatusCode.UNIMPLEMENTED, f"{method} is not served; use predict")


def _malformed(request: Request) -> Failure:
    return invalid(f"Malformed request: {request.method} {request.url.path}")


async def _failed(_: Request, failure: Any) -> Response:
    return _answer({"error": failure.message}, failure.http_status)


async def _refused(request: Request, error: Any) -> Response:
    if error.status_code == 415:
        return _answer({"error": "Expected a body as it is, or packed with gzip"}, 415)
    known = request.url.path.startswith("/v1/")
    return await _failed(request, _malformed(request) if known else not_found("Not Found"))


async def _crashed(_: Request, __: Exception) -> Response:
    return _answer({"error": "Internal error"}, 500)


def _answer(value: object, status: int = 200) -> Response:
    return Response(json.dumps(value, indent=1), status, media_type="application/json")


def _plain(message: Any) -> Any:
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
