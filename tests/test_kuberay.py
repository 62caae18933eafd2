"""The files for Kubernetes hold fields that KubeRay knows, agree with the image, and leave no door open."""

import shlex
import tomllib
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError
from ray.serve.schema import ServeDeploySchema

from rapport.core import plugins
from rapport.core.config import load_config
from rapport.ray_jobs.train_ser import TrainSerConfig
from tests.kuberay import ClusterSpec, RayCluster, RayJob, RayService, cluster_of, parsed

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "clusters" / "kuberay").glob("*.yaml"))


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def resource(request: pytest.FixtureRequest) -> RayCluster | RayJob | RayService:
    return parsed(yaml.safe_load(request.param.read_text()))


@pytest.fixture
def cluster(resource: RayCluster | RayJob | RayService) -> ClusterSpec:
    return cluster_of(resource)


def test_there_is_a_file_of_each_kind() -> None:
    assert [file.stem for file in FILES] == ["raycluster", "rayjob", "rayservice"]


def test_a_misspelt_field_is_refused() -> None:
    content = yaml.safe_load(FILES[0].read_text())
    content["spec"]["workerGroupSpecs"][0]["maxReplica"] = 3
    with pytest.raises(ValidationError, match="maxReplica"):
        parsed(content)


def test_ray_is_that_of_the_lock_file(cluster: ClusterSpec) -> None:
    locked = {p["name"]: p["version"] for p in tomllib.loads((ROOT / "uv.lock").read_text())["package"] if "version" in p}
    assert cluster.rayVersion == locked["ray"]


def test_every_pod_asks_for_the_token_runs_without_root_and_the_head_does_no_work(cluster: ClusterSpec) -> None:
    assert cluster.authOptions.mode == "token"
    assert (cluster.headGroupSpec.rayStartParams["num-cpus"], cluster.headGroupSpec.rayStartParams["num-gpus"]) == ("0", "0")
    for pod in cluster.pods:
        for container in pod.spec.containers:
            assert container.securityContext.runAsNonRoot
            assert not container.securityContext.allowPrivilegeEscalation
            assert "RAPPORT_STORAGE" in {variable.name for variable in container.env}
            mounted = {mount.name for mount in container.volumeMounts}
            assert mounted <= {volume.name for volume in pod.spec.volumes}


def test_workers_are_within_their_range_and_gpus_have_the_image_for_them(cluster: ClusterSpec) -> None:
    for group in cluster.workerGroupSpecs:
        assert group.minReplicas <= group.replicas <= group.maxReplicas
        container = group.template.spec.containers[0]
        asks = "nvidia.com/gpu" in container.resources.limits
        assert container.image.rpartition(":")[2] == ("gpu" if asks else "cpu")
        assert container.resources.limits == container.resources.requests


def test_a_standing_cluster_rents_nothing_until_it_is_needed() -> None:
    cluster = cluster_of(parsed(yaml.safe_load((ROOT / "clusters/kuberay/raycluster.yaml").read_text())))
    assert cluster.enableInTreeAutoscaling
    assert all(group.minReplicas == group.replicas == 0 < group.maxReplicas for group in cluster.workerGroupSpecs)


def test_the_job_is_one_that_its_command_line_accepts_and_its_workers_are_there() -> None:
    job = parsed(yaml.safe_load((ROOT / "clusters/kuberay/rayjob.yaml").read_text()))
    assert isinstance(job, RayJob)
    python, _, module, *arguments = shlex.split(job.spec.entrypoint)
    assert (python, module) == ("python", "rapport.ray_jobs.train_ser")
    config = load_config(TrainSerConfig, arguments, job="train_ser")
    assert config.workers.count == job.spec.rayClusterSpec.workerGroupSpecs[0].replicas


def test_the_service_is_one_that_serve_and_its_app_accept_and_its_key_comes_from_a_secret() -> None:
    service = parsed(yaml.safe_load((ROOT / "clusters/kuberay/rayservice.yaml").read_text()))
    assert isinstance(service, RayService)
    content = yaml.safe_load(service.spec.serveConfigV2)
    ServeDeploySchema.model_validate(content)
    for application in content["applications"]:
        name = application["import_path"].removeprefix("rapport.serve_apps.").removesuffix(":build_app")
        plugins.load("serve_apps", name).Args.model_validate(application["args"])
    for pod in service.spec.rayClusterConfig.pods:
        container = pod.spec.containers[0]
        assert "rapport-api-key" in {source.secretRef.name for source in container.envFrom}
        assert "RAPPORT_API_KEY" not in {variable.name for variable in container.env}
