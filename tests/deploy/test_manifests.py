"""What is in `deploy/` is valid by the rules of what reads it, and runs what there is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import compose_spec
import kubernetes_validate
import pytest
import yaml
from yamllint import linter
from yamllint.config import YamlLintConfig

from cli.main import group
from retrieval.storage.catalog_url import CatalogUrl
from retrieval.vectors.address import StoreAddress
from tests.web.conftest import serving
from web.settings import ServeSettings

DEPLOY = Path(__file__).parents[2] / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
VERSIONS = ("1.30", kubernetes_validate.latest_version())


def documents() -> Iterator[dict[str, Any]]:
    for path in MANIFESTS:
        yield from yaml.safe_load_all(path.read_text("utf-8"))


def pods() -> list[dict[str, Any]]:
    found = []
    for document in documents():
        spec = document["spec"]
        spec = spec["jobTemplate"]["spec"] if document["kind"] == "CronJob" else spec
        if "template" in spec:
            found.append(spec["template"]["spec"])
    return found


def understood(arguments: list[str]) -> click.Context:
    """The command line of a container, as the program reads it; raises where it does not."""
    arguments = [one.replace("$(POD_NAME)", "mmsearch-0") for one in arguments]
    context = click.Context(group)
    command = group.get_command(context, arguments[0])
    assert command is not None
    own = click.Context(command, context)
    # The token is there in the container only.
    _, rest, _ = command.make_parser(own).parse_args(arguments[1:])
    assert rest == [] or arguments[0] == "index"
    return own


@pytest.mark.parametrize("path", [DEPLOY / "compose.yaml", *MANIFESTS], ids=lambda path: path.name)
def test_yaml_is_clean(path: Path) -> None:
    config = YamlLintConfig(file=str(DEPLOY / ".yamllint"))
    assert list(linter.run(path.read_text("utf-8"), config)) == []


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_every_manifest(version: str) -> None:
    kinds = set()
    for document in documents():
        kubernetes_validate.validate(document, version, strict=True)
        kinds.add(document["kind"])
    assert kinds >= {"StatefulSet", "Service", "CronJob", "NetworkPolicy", "PodDisruptionBudget"}


def test_pods_have_few_rights_and_limits() -> None:
    assert len(pods()) == 2
    for pod in pods():
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        mounted = {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            rights = container["securityContext"]
            assert rights["readOnlyRootFilesystem"] and not rights["allowPrivilegeEscalation"]
            assert rights["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"].keys() == {"cpu", "memory"}
            names = {mount["name"] for mount in container["volumeMounts"]}
            assert names - mounted <= {"index"}
            understood(container["args"])


def test_probes_ask_what_a_server_answers(photo_index: Path) -> None:
    import httpx

    (server,) = [pod["containers"][0] for pod in pods() if "ports" in pod["containers"][0]]
    probes = [
        server[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")
    ]
    settings = ServeSettings(photo_index, host="0.0.0.0", token="0123456789abcdef")
    with serving(settings) as address:
        for path in probes:
            # As a kubelet asks: by the pod's number, without a token.
            answer = httpx.get(address + path, headers={"host": "10.1.2.3:8017"}, timeout=30)
            assert answer.status_code == 200, answer.text
        assert httpx.get(f"{address}/api/metrics").status_code == 401


def test_a_server_without_an_index_is_alive_and_not_ready(tmp_path: Path) -> None:
    import httpx

    with serving(ServeSettings(tmp_path / "none")) as address:
        assert httpx.get(f"{address}/healthz").status_code == 200
        assert httpx.get(f"{address}/readyz").status_code == 503


def test_compose_takes_its_file() -> None:
    text = (DEPLOY / "compose.yaml").read_text("utf-8")
    # Variables are filled in, and aliases, before the rules of the file are looked at.
    filled = text.replace("${PHOTOS:-./photos}", "./photos").replace("${POSTGRES_PASSWORD:-}", "x")
    whole = yaml.safe_load(filled)
    told = compose_spec.PyCompose.from_json(json.dumps(whole))
    services = whole["services"]
    assert set(told.service_names()) == set(services)
    own = {"serve", "index", "serve-shared", "index-shared"}
    assert set(services) == {*own, "postgres", "milvus"}
    for name, service in services.items():
        assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}, name
        if name in own:
            assert service["read_only"] and service["cap_drop"] == ["ALL"]
            understood(service["command"])
    assert services["serve"]["ports"] == ["127.0.0.1:8017:8017"]


def test_what_is_shared_has_addresses_and_extras_that_there_are() -> None:
    shared = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))["services"][
        "index-shared"
    ]
    command = shared["command"]
    catalog, store = (command[command.index(name) + 1] for name in ("--catalog", "--vector-store"))
    assert str(CatalogUrl.parse(catalog)) == catalog
    assert StoreAddress.parse(store).text == store
    understood(command)
    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text("utf-8"))["project"]
    extras = shared["build"]["args"]["EXTRAS"].split(",")
    assert set(extras) <= set(project["optional-dependencies"])


def test_the_dockerfile_is_clean_and_its_image_runs_as_nobody() -> None:
    linted = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which(
        "hadolint"
    )
    if linted is None:
        pytest.skip("hadolint is not installed: the Dockerfile is not linted")
    run = subprocess.run(
        [linted, str(DEPLOY / "Dockerfile")], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout) == (0, "")
    text = (DEPLOY / "Dockerfile").read_text("utf-8")
    assert "USER 10001:10001" in text
    (arguments,) = re.findall(r"^CMD (\[.*\])$", text, re.MULTILINE)
    understood(yaml.safe_load(arguments))
    # All that is copied is let through to the builder.
    allowed = (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8").split()
    for copied in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE):
        for name in copied.split():
            assert f"!{name}" in allowed and (DEPLOY.parent / name).exists()
