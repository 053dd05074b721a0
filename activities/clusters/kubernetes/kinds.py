"""The kinds of objects that Headgate touches, and where the API server has them."""

from __future__ import annotations

from typing import NamedTuple


class Kind(NamedTuple):
    """One kind in one version of its API."""

    name: str
    api_version: str
    plural: str

    def path(self, namespace: str, name: str = "", sub: str = "") -> str:
        """The address of an object, of its subresource, or of all objects in a namespace or anywhere."""
        root = "/api" if "/" not in self.api_version else "/apis"
        place = f"namespaces/{namespace}" if namespace else ""
        parts = (root, self.api_version, place, self.plural, name, sub)
        return "/".join(part for part in parts if part)


POD = Kind("Pod", "v1", "pods")
EVENT = Kind("Event", "v1", "events")
CONFIG_MAP = Kind("ConfigMap", "v1", "configmaps")
SECRET = Kind("Secret", "v1", "secrets")
PERSISTENT_VOLUME_CLAIM = Kind("PersistentVolumeClaim", "v1", "persistentvolumeclaims")
SERVICE = Kind("Service", "v1", "services")
ENDPOINT_SLICE = Kind("EndpointSlice", "discovery.k8s.io/v1", "endpointslices")
DEPLOYMENT = Kind("Deployment", "apps/v1", "deployments")
REPLICA_SET = Kind("ReplicaSet", "apps/v1", "replicasets")
STATEFUL_SET = Kind("StatefulSet", "apps/v1", "statefulsets")
DAEMON_SET = Kind("DaemonSet", "apps/v1", "daemonsets")
CONTROLLER_REVISION = Kind("ControllerRevision", "apps/v1", "controllerrevisions")
HORIZONTAL_POD_AUTOSCALER = Kind("HorizontalPodAutoscaler", "autoscaling/v2", "horizontalpodautoscalers")
SCALED_OBJECT = Kind("ScaledObject", "keda.sh/v1alpha1", "scaledobjects")
HTTP_ROUTE = Kind("HTTPRoute", "gateway.networking.k8s.io/v1", "httproutes")
GRPC_ROUTE = Kind("GRPCRoute", "gateway.networking.k8s.io/v1", "grpcroutes")
NETWORK_POLICY = Kind("NetworkPolicy", "networking.k8s.io/v1", "networkpolicies")
POD_DISRUPTION_BUDGET = Kind("PodDisruptionBudget", "policy/v1", "poddisruptionbudgets")
SERVICE_MONITOR = Kind("ServiceMonitor", "monitoring.coreos.com/v1", "servicemonitors")
POD_MONITOR = Kind("PodMonitor", "monitoring.coreos.com/v1", "podmonitors")
AUTHORIZATION_POLICY = Kind("AuthorizationPolicy", "security.istio.io/v1", "authorizationpolicies")
PEER_AUTHENTICATION = Kind("PeerAuthentication", "security.istio.io/v1", "peerauthentications")
REQUEST_AUTHENTICATION = Kind("RequestAuthentication", "security.istio.io/v1", "requestauthentications")
SIDECAR = Kind("Sidecar", "networking.istio.io/v1", "sidecars")
ENVOY_FILTER = Kind("EnvoyFilter", "networking.istio.io/v1alpha3", "envoyfilters")
TELEMETRY = Kind("Telemetry", "telemetry.istio.io/v1", "telemetries")
WASM_PLUGIN = Kind("WasmPlugin", "extensions.istio.io/v1alpha1", "wasmplugins")
INGRESS = Kind("Ingress", "networking.k8s.io/v1", "ingresses")
HTTP_PROXY = Kind("HTTPProxy", "projectcontour.io/v1", "httpproxies")
TRAEFIK_SERVICE = Kind("TraefikService", "traefik.io/v1alpha1", "traefikservices")
DESTINATION_RULE = Kind("DestinationRule", "networking.istio.io/v1", "destinationrules")
APPLICATION = Kind("Application", "argoproj.io/v1alpha1", "applications")
VIRTUAL_SERVICE = Kind("VirtualService", "networking.istio.io/v1", "virtualservices")
RESOURCE_QUOTA = Kind("ResourceQuota", "v1", "resourcequotas")
LIMIT_RANGE = Kind("LimitRange", "v1", "limitranges")
