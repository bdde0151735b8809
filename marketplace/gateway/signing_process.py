"""Recover signers and sign, in the process that a `clerk` started: `python -m marketplace.gateway.signing_process FD`.

A question is a digest, the signature under it, and a digest to sign; its answer is the address that signed and the
gateway's signature, or zeros where no address fits. Answers come in the order of the questions. First of all the
gateway sends its key and the child answers with its address. Nothing is imported that this does not take.
"""

from __future__ import annotations

import signal
import socket
import sys

from contracts.errors import BadSignature
from contracts.signing import Signer, recover

DIGEST, SIGNATURE, ADDRESS = 32, 65, 20
QUESTION = DIGEST + SIGNATURE + DIGEST
ANSWER = ADDRESS + SIGNATURE
NOBODY = bytes(ANSWER)


def work(connection: socket.socket) -> None:
    """Answer questions until the gateway is gone: the child's whole life."""
    key = b""
    while len(key) < 32:
        part = connection.recv(32 - len(key))
        if not part:
            return
        key += part
    signer = Signer(key)
    connection.sendall(bytes.fromhex(signer.address[2:]))
    data = b""
    while part := connection.recv(QUESTION * 256):
        data += part
        whole = len(data) - len(data) % QUESTION
        connection.sendall(b"".join([_answer(signer, data[at : at + QUESTION]) for at in range(0, whole, QUESTION)]))
        data = data[whole:]


def _answer(signer: Signer, question: bytes) -> bytes:
    try:
        address = recover(question[:DIGEST], question[DIGEST : DIGEST + SIGNATURE])
    except BadSignature:
        return NOBODY
    return bytes.fromhex(address[2:]) + signer.sign(question[DIGEST + SIGNATURE :])


def main() -> None:
    """Work on the socket whose descriptor is named; signals to the whole group are for the gateway to act upon."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    with socket.socket(fileno=int(sys.argv[1])) as connection:
        try:
            work(connection)
        except OSError:
            return


if __name__ == "__main__":
    main()
