{{/* What the workers' pods and the one of `headgate setup` have in common. */}}
{{- define "headgate.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "headgate.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "headgate.placement" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* How Temporal is reached: the variables of its CLI, secrets by reference alone. */}}
{{- define "headgate.temporalEnv" -}}
{{- with .Values.temporal -}}
{{- if not .profile.secret }}
- {name: TEMPORAL_ADDRESS, value: {{ .address | quote }}}
- {name: TEMPORAL_NAMESPACE, value: {{ .namespace | quote }}}
{{- end }}
{{- if .apiKey.secret }}
- name: TEMPORAL_API_KEY
  valueFrom: {secretKeyRef: {name: {{ .apiKey.secret }}, key: {{ .apiKey.key }}}}
{{- end }}
{{- if or .tls.enabled .tls.secret }}
- {name: TEMPORAL_TLS, value: "true"}
{{- end }}
{{- if .tls.secret }}
- {name: TEMPORAL_TLS_CLIENT_CERT_PATH, value: /etc/headgate-temporal/tls/tls.crt}
- {name: TEMPORAL_TLS_CLIENT_KEY_PATH, value: /etc/headgate-temporal/tls/tls.key}
{{- if .tls.ca }}
- {name: TEMPORAL_TLS_SERVER_CA_CERT_PATH, value: /etc/headgate-temporal/tls/ca.crt}
{{- end }}
{{- end }}
{{- if .tls.serverName }}
- {name: TEMPORAL_TLS_SERVER_NAME, value: {{ .tls.serverName | quote }}}
{{- end }}
{{- if .profile.secret }}
- {name: TEMPORAL_CONFIG_FILE, value: {{ printf "/etc/headgate-temporal/profile/%s" .profile.key | quote }}}
{{- end }}
{{- if .profile.name }}
- {name: TEMPORAL_PROFILE, value: {{ .profile.name | quote }}}
{{- end }}
{{- end }}
# Libraries look for a home, and the root file system cannot be written.
- {name: HOME, value: /tmp}
{{- range $name, $value := .Values.env }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end -}}

{{- define "headgate.temporalMounts" -}}
- {name: tmp, mountPath: /tmp}
{{- with .Values.temporal }}
{{- if .tls.secret }}
- {name: temporal-tls, mountPath: /etc/headgate-temporal/tls, readOnly: true}
{{- end }}
{{- if .profile.secret }}
- {name: temporal-profile, mountPath: /etc/headgate-temporal/profile, readOnly: true}
{{- end }}
{{- end }}
{{- end -}}

{{- define "headgate.temporalVolumes" -}}
- name: tmp
  emptyDir: {}
{{- with .Values.temporal }}
{{- if .tls.secret }}
- name: temporal-tls
  secret: {secretName: {{ .tls.secret }}}
{{- end }}
{{- if .profile.secret }}
- name: temporal-profile
  secret: {secretName: {{ .profile.secret }}}
{{- end }}
{{- end }}
{{- end -}}
