"""The fields of KubeRay's resources that our files use, written after the reference of KubeRay 1.6.2 (`ray.io/v1`).

The definitions that a Kubernetes holds have thousands of fields more, and pass over some that are misspelt. Here only these are known.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Quantity = str


class Known(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Meta(Known):
    name: str = Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")


class AuthOptions(Known):
    mode: Literal["token", "disabled"]


class AutoscalerOptions(Known):
    version: Literal["v1", "v2"]
    idleTimeoutSeconds: int = Field(ge=0)


class Port(Known):
    name: str
    containerPort: int = Field(ge=1, le=65535)


class Variable(Known):
    name: str = Field(pattern=r"^[A-Z][A-Z0-9_]*$")
    value: str


class SecretRef(Known):
    name: str


class Variables(Known):
    secretRef: SecretRef


class Resources(Known):
    limits: dict[str, Quantity]
    requests: dict[str, Quantity]


class Mount(Known):
    name: str
    mountPath: str = Field(pattern="^/")


class Capabilities(Known):
    drop: list[str]


class ContainerSecurity(Known):
    runAsNonRoot: bool
    allowPrivilegeEscalation: bool
    capabilities: Capabilities


class Container(Known):
    name: str
    image: str
    ports: list[Port] = []
    env: list[Variable]
    envFrom: list[Variables]
    resources: Resources
    volumeMounts: list[Mount] = []
    securityContext: ContainerSecurity


class Toleration(Known):
    key: str
    operator: Literal["Exists", "Equal"]
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]


class EmptyDir(Known):
    medium: Literal["", "Memory"] = ""
    sizeLimit: Quantity | None = None


class Volume(Known):
    name: str
    emptyDir: EmptyDir


class PodSecurity(Known):
    fsGroup: int


class PodSpec(Known):
    containers: list[Container] = Field(min_length=1)
    securityContext: PodSecurity | None = None
    tolerations: list[Toleration] = []
    terminationGracePeriodSeconds: int = Field(default=30, ge=0)
    volumes: list[Volume] = []


class PodTemplate(Known):
    spec: PodSpec


class HeadGroup(Known):
    rayStartParams: dict[str, str]
    template: PodTemplate


class WorkerGroup(Known):
    groupName: str
    replicas: int = Field(ge=0)
    minReplicas: int = Field(ge=0)
    maxReplicas: int = Field(ge=0)
    rayStartParams: dict[str, str]
    template: PodTemplate


class ClusterSpec(Known):
    @property
    def pods(self) -> list[PodTemplate]:
        """The head's and those of every kind of worker."""
        return [self.headGroupSpec.template, *(group.template for group in self.workerGroupSpecs)]

    rayVersion: str
    authOptions: AuthOptions
    enableInTreeAutoscaling: bool = False
    autoscalerOptions: AutoscalerOptions | None = None
    headGroupSpec: HeadGroup
    workerGroupSpecs: list[WorkerGroup] = Field(min_length=1)


class JobSpec(Known):
    entrypoint: str
    submissionMode: Literal["K8sJobMode", "HTTPMode", "InteractiveMode"]
    backoffLimit: int = Field(ge=0)
    activeDeadlineSeconds: int = Field(gt=0)
    shutdownAfterJobFinishes: bool
    ttlSecondsAfterFinished: int = Field(ge=0)
    rayClusterSpec: ClusterSpec


class ServiceSpec(Known):
    serveConfigV2: str
    rayClusterConfig: ClusterSpec


class Resource(Known):
    apiVersion: Literal["ray.io/v1"]
    kind: Literal["RayCluster", "RayJob", "RayService"]
    metadata: Meta


class RayCluster(Resource):
    spec: ClusterSpec


class RayJob(Resource):
    spec: JobSpec


class RayService(Resource):
    spec: ServiceSpec


KINDS: dict[str, type[RayCluster] | type[RayJob] | type[RayService]] = {
    "RayCluster": RayCluster,
    "RayJob": RayJob,
    "RayService": RayService,
}


def parsed(content: dict[str, Any]) -> RayCluster | RayJob | RayService:
    """The resource, every field checked. Raises ValidationError."""
    return KINDS[content["kind"]].model_validate(content)


def cluster_of(resource: RayCluster | RayJob | RayService) -> ClusterSpec:
    """The cluster that a resource brings up."""
    if isinstance(resource, RayCluster):
        return resource.spec
    return resource.spec.rayClusterSpec if isinstance(resource, RayJob) else resource.spec.rayClusterConfig
