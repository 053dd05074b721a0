{{/*
One line for each call that a worker makes in a namespace; README.md says what it is for, and a test compares the two.
No rule has a wildcard, and none is for anything that belongs to the whole cluster.
*/}}
{{- define "headgate.rules" -}}
- {apiGroups: [apps], resources: [deployments], verbs: [get, watch, create, patch, delete]}
- {apiGroups: [apps], resources: [replicasets], verbs: [list]}
- {apiGroups: [""], resources: [pods], verbs: [list, watch]}
- {apiGroups: [""], resources: [pods/log], verbs: [get]}
- {apiGroups: [""], resources: [events], verbs: [list]}
- {apiGroups: [""], resources: [secrets], verbs: [get, list, watch, create, patch]}
- {apiGroups: [""], resources: [configmaps], verbs: [get, watch]}
- {apiGroups: [""], resources: [persistentvolumeclaims], verbs: [get]}
- {apiGroups: [""], resources: [services], verbs: [list]}
- {apiGroups: [networking.k8s.io], resources: [networkpolicies], verbs: [get, list, create, patch]}
- {apiGroups: [policy], resources: [poddisruptionbudgets], verbs: [get, list, create, patch]}
- {apiGroups: [""], resources: [resourcequotas, limitranges], verbs: [list]}
- {apiGroups: [autoscaling], resources: [horizontalpodautoscalers], verbs: [get, list, patch]}
- {apiGroups: [keda.sh], resources: [scaledobjects], verbs: [get, list, patch]}
{{- $workloads := .Values.inCluster.workloads }}
{{- if $workloads }}
- {apiGroups: [apps], resources: [controllerrevisions], verbs: [list]}
{{- end }}
{{- if has "statefulSet" $workloads }}
- {apiGroups: [apps], resources: [statefulsets], verbs: [get, watch, patch]}
- {apiGroups: [""], resources: [pods], verbs: [delete]}
{{- end }}
{{- if has "daemonSet" $workloads }}
- {apiGroups: [apps], resources: [daemonsets], verbs: [get, watch, patch]}
{{- end }}
{{- $addOns := .Values.inCluster.addOns }}
{{- if has "prometheusOperator" $addOns }}
- {apiGroups: [monitoring.coreos.com], resources: [servicemonitors, podmonitors], verbs: [get, list, create, patch]}
{{- end }}
{{- if has "istio" $addOns }}
- {apiGroups: [security.istio.io], resources: [authorizationpolicies, peerauthentications, requestauthentications], verbs: [get, list, create, patch]}
- {apiGroups: [networking.istio.io], resources: [sidecars, envoyfilters], verbs: [get, list, create, patch]}
- {apiGroups: [telemetry.istio.io], resources: [telemetries], verbs: [get, list, create, patch]}
- {apiGroups: [extensions.istio.io], resources: [wasmplugins], verbs: [get, list, create, patch]}
{{- end }}
{{- $routers := .Values.inCluster.routers }}
{{- if $routers }}
- {apiGroups: [""], resources: [services], verbs: [get, patch]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list]}
{{- end }}
{{- if without $routers "service" "replicas" }}
- {apiGroups: [""], resources: [services], verbs: [create, delete]}
{{- end }}
{{- if without $routers "replicas" }}
- {apiGroups: [""], resources: [services], verbs: [watch]}
{{- end }}
{{- if has "gatewayApi" $routers }}
- {apiGroups: [gateway.networking.k8s.io], resources: [httproutes, grpcroutes], verbs: [get, list, watch, create, patch, delete]}
{{- end }}
{{- if has "ingress" $routers }}
- {apiGroups: [networking.k8s.io], resources: [ingresses], verbs: [get, list, watch, create, patch, delete]}
{{- end }}
{{- if has "nginx" $routers }}
- {apiGroups: [networking.k8s.io], resources: [ingresses], verbs: [get, list, watch, create, patch, delete]}
{{- end }}
{{- if has "contour" $routers }}
- {apiGroups: [projectcontour.io], resources: [httpproxies], verbs: [get, list, watch, create, patch, delete]}
{{- end }}
{{- if has "istio" $routers }}
- {apiGroups: [networking.istio.io], resources: [virtualservices], verbs: [get, list, watch, create, patch, delete]}
- {apiGroups: [networking.istio.io], resources: [destinationrules], verbs: [get, list, watch, patch]}
{{- end }}
{{- if has "traefik" $routers }}
- {apiGroups: [traefik.io], resources: [traefikservices], verbs: [get, list, watch, patch]}
{{- end }}
{{- end -}}
