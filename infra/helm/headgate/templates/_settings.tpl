{{/* The worker's settings file: what the values say, and what the chart knows itself. */}}
{{- define "headgate.settings" -}}
{{- $settings := deepCopy .Values.settings -}}
{{- if .Values.policy -}}
{{- $_ := set $settings "policy" "policy.yaml" -}}
{{- end -}}
{{- if .Values.inCluster.namespaces -}}
{{- $own := pick .Values.inCluster "namespaces" "callsPerSecond" "burst" -}}
{{- $argoCd := dict "elsewhere" .Values.inCluster.argoCd.elsewhere -}}
{{- with .Values.inCluster.argoCd.namespace -}}
{{- $_ := set $argoCd "namespace" . -}}
{{- end -}}
{{- $_ := merge $own (dict "inCluster" true "argoCd" $argoCd) -}}
{{- $clusters := dict "clusters" (dict .Values.inCluster.alias $own) -}}
{{- $_ := set $settings "kubernetes" (merge $clusters (default dict $settings.kubernetes)) -}}
{{- end -}}
{{- toYaml $settings -}}
{{- end -}}

{{- define "headgate.port" -}}
{{- regexFind "[0-9]+$" .Values.settings.health.bind -}}
{{- end -}}

{{/* A duration such as 1m30s in whole seconds, rounded up. */}}
{{- define "headgate.seconds" -}}
{{- $units := dict "ms" 0.001 "s" 1.0 "m" 60.0 "h" 3600.0 "d" 86400.0 -}}
{{- $total := 0.0 -}}
{{- range regexFindAll "[0-9.]+(ms|d|h|m|s)" . -1 -}}
{{- $total = addf $total (mulf (regexFind "[0-9.]+" . | float64) (get $units (regexFind "[a-z]+" .))) -}}
{{- end -}}
{{- ceil $total | int -}}
{{- end -}}

{{/* The worker leaves activities behind ten seconds after its grace; the rest is for its own end. */}}
{{- define "headgate.terminationSeconds" -}}
{{- add (include "headgate.seconds" .Values.settings.shutdown.grace | int) 15 -}}
{{- end -}}
