"""The deployment files agree with each other, with TF Serving's settings and with what clients send."""

import re
from pathlib import Path

import pytest
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2

from kcseg.serving.runner import REQUEST_PIXELS

DEPLOY = Path(__file__).parent.parent / "deploy"
WRAPPED = {"max_batch_size": 1, "batch_timeout_micros": 2, "max_enqueued_batches": 3, "num_batch_threads": 4}


def compose():
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]


def kubernetes():
    return {one["kind"]: one for one in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())}


def container():
    (container,) = kubernetes()["Deployment"]["spec"]["template"]["spec"]["containers"]
    return container


def settings_message(name):
    """TF Serving's BatchingParameters and MonitoringConfig, which its Python package leaves out."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="settings.proto", package="t", syntax="proto3")
    file.dependency.append("google/protobuf/wrappers.proto")
    batching = file.message_type.add(name="BatchingParameters")
    for key, number in WRAPPED.items():
        batching.field.add(
            name=key,
            number=number,
            type=field.TYPE_MESSAGE,
            type_name=".google.protobuf.Int64Value",
            label=field.LABEL_OPTIONAL,
        )
    batching.field.add(
        name="allowed_batch_sizes", number=6, type=field.TYPE_INT64, label=field.LABEL_REPEATED
    )
    prometheus = file.message_type.add(name="PrometheusConfig")
    prometheus.field.add(name="enable", number=1, type=field.TYPE_BOOL, label=field.LABEL_OPTIONAL)
    prometheus.field.add(name="path", number=2, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    file.message_type.add(name="MonitoringConfig").field.add(
        name="prometheus_config",
        number=1,
        type=field.TYPE_MESSAGE,
        type_name=".t.PrometheusConfig",
        label=field.LABEL_OPTIONAL,
    )
    pool = descriptor_pool.DescriptorPool()
    wrappers = descriptor_pb2.FileDescriptorProto()
    wrappers_pb2.DESCRIPTOR.CopyToProto(wrappers)
    pool.Add(wrappers)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"t.{name}"))()


def test_batching_is_a_message_tf_serving_reads_and_takes_the_largest_request():
    text = (DEPLOY / "batching.config").read_text()
    batching = text_format.Parse(text, settings_message("BatchingParameters"))
    # TF Serving refuses a request larger than a batch
    assert batching.max_batch_size.value >= REQUEST_PIXELS // 192**2
    assert min(getattr(batching, key).value for key in WRAPPED) > 0
    with pytest.raises(text_format.ParseError):
        text_format.Parse("max_batch { value: 8 }", settings_message("BatchingParameters"))


def test_monitoring_is_where_kcseg_serve_has_it_and_kubernetes_looks_for_it():
    text = (DEPLOY / "monitoring.config").read_text()
    prometheus = text_format.Parse(text, settings_message("MonitoringConfig")).prometheus_config
    assert prometheus.enable and prometheus.path == "/monitoring/prometheus/metrics"
    assert kubernetes()["Service"]["metadata"]["annotations"]["prometheus.io/path"] == prometheus.path


@pytest.mark.parametrize("name", ["compose.yaml", "kubernetes.yaml"])
def test_every_file_named_is_there(name):
    text = (DEPLOY / name).read_text()
    files = re.findall(r"/config/([\w.]+)", text) + re.findall(r"deploy/([\w.]+)", text)
    assert {"monitoring.config", "batching.config", name} <= set(files)
    for file in files:
        assert (DEPLOY / file).is_file()


def test_both_run_stock_tf_serving_with_the_same_settings():
    service = compose()["kcseg"]
    assert service["image"] == container()["image"] == "tensorflow/serving"
    assert service["command"] == container()["args"]
    assert service["environment"] == {"MODEL_NAME": "kcseg"}
    assert container()["env"] == [{"name": "MODEL_NAME", "value": "kcseg"}]


def test_the_model_and_the_settings_are_mounted_where_tf_serving_looks():
    mounts = [volume.rsplit(":", 2)[-2:] for volume in compose()["kcseg"]["volumes"]]
    assert ["/models/kcseg", "ro"] in mounts
    for name in ("monitoring.config", "batching.config"):
        assert f"./{name}:/config/{name}:ro" in compose()["kcseg"]["volumes"]
    places = {mount["name"]: mount["mountPath"] for mount in container()["volumeMounts"]}
    assert places == {"export": "/models/kcseg", "config": "/config"}
    volumes = kubernetes()["Deployment"]["spec"]["template"]["spec"]["volumes"]
    assert {volume["name"] for volume in volumes} == set(places)


def test_several_replicas_stand_behind_one_address():
    deployment = kubernetes()["Deployment"]["spec"]
    assert deployment["replicas"] > 1 and compose()["kcseg"]["deploy"]["replicas"] > 1
    labels = deployment["template"]["metadata"]["labels"]
    assert kubernetes()["Service"]["spec"]["selector"] == deployment["selector"]["matchLabels"] == labels
    ports = {"grpc": 8500, "rest": 8501}
    assert {port["name"]: port["port"] for port in kubernetes()["Service"]["spec"]["ports"]} == ports
    assert {port["name"]: port["containerPort"] for port in container()["ports"]} == ports
    nginx = (DEPLOY / "nginx.conf").read_text()
    assert set(map(int, re.findall(r"listen (\d+)", nginx))) == set(ports.values())
    assert set(re.findall(r"server (\w+:\d+);", nginx)) == {"kcseg:8500", "kcseg:8501"}
    assert nginx.count("{") == nginx.count("}")


def test_the_address_is_open_to_this_machine_alone():
    assert "ports" not in compose()["kcseg"]
    assert all(port.startswith("127.0.0.1:") for port in compose()["address"]["ports"])


def test_probes_ask_what_kcseg_serve_answers_too(server):
    import urllib3

    for probe in ("startupProbe", "readinessProbe"):
        request = container()[probe]["httpGet"]
        root = server.rest_address.removesuffix("/v1/models/kcseg")
        assert request["port"] == "rest" and urllib3.request("GET", root + request["path"]).status == 200
