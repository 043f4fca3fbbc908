"""A served ensemble, asked over TF Serving's REST API; needs neither TensorFlow nor gRPC."""

import json
import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import numpy as np
import urllib3
from urllib3 import exceptions

from kcseg.errors import InputError, reason_of, shortened
from kcseg.serving.address import Address
from kcseg.serving.contract import ANSWER_BYTES, REQUIRED, check_signatures, too_large, too_slow, wanted

# a server that is down, starting or busy, or hangs up, is asked five times, with these pauses in between
_PAUSES_S = (0.2, 0.4, 0.8, 1.6)
_NO_ANSWER = (exceptions.NewConnectionError, exceptions.ConnectTimeoutError, exceptions.ProtocolError)
_OVERLOADED = (429, 503)


class RestModel:
    """An ensemble behind `http://HOST:8501/v1/models/NAME`.

    JSON keeps every bit: a float32 is written with the digits of its double, which is read back as that float32.
    """

    def __init__(self, address: Address, timeout_s: float):
        """Ask the server whether it serves an ensemble there; an InputError where it does not."""
        self._address = address
        self._timeout_s = timeout_s
        self._pool = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=min(timeout_s, 10.0), read=timeout_s)
        )
        try:
            signatures = self._request("GET", "/metadata")["metadata"]["signature_def"]["signature_def"]
            self.outputs = {name: list(found.get("outputs", ())) for name, found in signatures.items()}
            check_signatures(address, self.outputs, *REQUIRED)
        except (KeyError, TypeError, AttributeError) as error:
            raise self._unlike_tf_serving() from error

    def __call__(self, signature: str, images: np.ndarray) -> Mapping[str, np.ndarray]:
        """Ask as `Model` does; an InputError where the export lacks the signature, or the server fails."""
        check_signatures(self._address, self.outputs, signature)
        answer = self._request(
            "POST", ":predict", {"signature_name": signature, "inputs": {"image": images.tolist()}}
        )
        try:
            outputs = answer["outputs"]
            if not isinstance(outputs, dict):  # TF Serving leaves the name of an only output out
                outputs = {wanted(self, signature)[0]: outputs}
            with np.errstate(over="ignore"):  # what becomes infinite is refused later
                return {
                    name: np.array(outputs[name], np.uint8 if name == "mask" else np.float32)
                    for name in wanted(self, signature)
                }
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise self._unlike_tf_serving() from error

    def _request(self, method: str, path: str, body: object = None) -> Any:
        try:
            status, content = self._patient_answer(method, path, body)
        except exceptions.ReadTimeoutError as error:
            raise InputError(too_slow(self._address, self._timeout_s)) from error
        except exceptions.HTTPError as error:
            raise InputError(
                f"nobody answers at {self._address} ({reason_of(error)}); check the address, and that the server "
                "runs"
            ) from error
        try:
            answer = json.loads(content)
            if status == 200:
                return answer
            reason = shortened(str(answer["error"]))
        except (ValueError, RecursionError, KeyError, TypeError) as error:
            raise self._unlike_tf_serving() from error
        raise InputError(_refusal(self._address, status, reason))

    def _patient_answer(self, method: str, path: str, body: object) -> tuple[int, bytearray]:
        """Return status and content of the first answer of a server that is not busy, or of the fifth.

        Asking again is not left to urllib3, which would wait as long as the server says, and does not do so where an
        answer breaks off while it is read. A prediction changes nothing, so it may be asked twice.
        """
        for pause_s in _PAUSES_S:
            try:
                status, content = self._answer(method, path, body)
                if status not in _OVERLOADED:
                    return status, content
            except _NO_ANSWER:
                pass
            time.sleep(pause_s)
        return self._answer(method, path, body)

    def _answer(self, method: str, path: str, body: object) -> tuple[int, bytearray]:
        """Return status and content of an answer that is neither too large nor too slow."""
        # redirected, images would go to an address that nobody named
        response = self._pool.request(
            method, f"{self._address}{path}", json=body, redirect=False, retries=False, preload_content=False
        )
        content, end = bytearray(), time.monotonic() + self._timeout_s
        with closing(response):
            while part := response.read1(1 << 16, decode_content=False):
                content += part
                if len(content) > ANSWER_BYTES:
                    raise InputError(too_large(self._address))
                if time.monotonic() > end:
                    raise InputError(too_slow(self._address, self._timeout_s))
        return response.status, content

    def _unlike_tf_serving(self) -> InputError:
        return InputError(
            f"{self._address} does not answer like TF Serving; check the address (its REST port is 8501)"
        )


def _refusal(address: Address, status: int, reason: str) -> str:
    if status == 404:
        return f"{address} is not served ({reason}); check name and version at http[s]://HOST/v1/models/NAME"
    if status in _OVERLOADED:
        return f"{address} is overloaded ({reason}); try again later"
    return f"{address} refused the request ({reason})"
