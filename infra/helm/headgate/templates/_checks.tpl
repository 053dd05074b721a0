{{/* What no schema can say: values that are right alone and wrong together. Each sentence names what to change. */}}
{{- define "headgate.checks" -}}
{{- $own := .Values.inCluster -}}
{{- if and $own.namespaces (hasKey (dig "kubernetes" "clusters" (dict) .Values.settings) $own.alias) -}}
{{- fail (printf "settings.kubernetes.clusters.%s is the alias of inCluster too; give one of them another name" $own.alias) -}}
{{- end -}}
{{- range $environment, $rules := dig "spec" "environments" (dict) .Values.policy -}}
{{- range $rules.targets -}}
{{- $target := . -}}
{{- if and $own.namespaces (eq .cluster $own.alias) -}}
{{- range .namespaces -}}
{{- if not (has . $own.namespaces) -}}
{{- fail (printf "policy.spec.environments.%s may touch namespace %s of cluster %s, where the workers have no rights; add it to inCluster.namespaces" $environment . $target.cluster) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.networkPolicy.enabled .Values.temporal.profile.secret (not .Values.networkPolicy.temporal.port) -}}
{{- fail "networkPolicy.temporal.port is missing: only the profile knows the address, so say at which port Temporal may be reached" -}}
{{- end -}}
{{- end -}}
