{{/* Labels of one part of podsonar. Takes the name of the part. */}}
{{- define "podsonar.labels" -}}
app.kubernetes.io/name: podsonar
app.kubernetes.io/component: {{ . }}
{{- end }}

{{/* The image of podsonar; of this chart's version where no tag is given. */}}
{{- define "podsonar.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* What keeps a container within itself. */}}
{{- define "podsonar.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Alive and ready, as every mode answers it. */}}
{{- define "podsonar.probes" -}}
startupProbe:
  httpGet:
    path: /healthz
    port: metrics
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet:
    path: /healthz
    port: metrics
  periodSeconds: 10
  timeoutSeconds: 5
readinessProbe:
  httpGet:
    path: /readyz
    port: metrics
  periodSeconds: 5
  timeoutSeconds: 5
{{- end }}

{{/* Where pods may run. Takes the values of a mode. */}}
{{- define "podsonar.scheduling" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{/* Replicas on different nodes, as far as there are any. Takes the name of the part. */}}
{{- define "podsonar.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "podsonar.labels" . | nindent 8 }}
{{- end }}

{{/* How images are pulled. */}}
{{- define "podsonar.pull" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Settings as the data of a ConfigMap, all of them text. */}}
{{- define "podsonar.data" -}}
{{- range $name, $value := . }}
{{ $name }}: {{ include "podsonar.text" $value | quote }}
{{- end }}
{{- end }}

{{/* A value as text: %v would write the number 1000000 as 1e+06. */}}
{{- define "podsonar.text" -}}
{{- if kindIs "string" . }}{{ . }}{{ else }}{{ toJson . }}{{ end }}
{{- end }}

{{/* Settings of the registrar: those that follow from other values, under those that are given. */}}
{{- define "podsonar.registrarSettings" -}}
{{- $derived := dict "CONSUL_BACKEND" (eq .Values.consul.mode "agent" | ternary "agent" "catalog") }}
{{- if .Values.clusterName }}{{ $_ := set $derived "CLUSTER_NAME" .Values.clusterName }}{{ end }}
{{- if ne .Values.consul.mode "catalog" }}{{ $_ := set $derived "CONSUL_ADDRESS" "127.0.0.1:8500" }}
{{- else if .Values.consul.address }}{{ $_ := set $derived "CONSUL_ADDRESS" .Values.consul.address }}{{ end }}
{{- if .Values.peerInfo.enabled }}{{ $_ := set $derived "PEER_INFO" "true" }}{{ end }}
{{- if .Values.podProxy.enabled }}{{ $_ := set $derived "POD_ROUTE" "proxy" }}{{ end }}
{{- if ne (int .Values.proxy.nodePort) 31112 }}{{ $_ := set $derived "NODE_PROXY_PORT" .Values.proxy.nodePort }}{{ end }}
{{- include "podsonar.data" (merge (dict) .Values.registrar.settings $derived) }}
{{- end }}

{{- define "podsonar.proxySettings" -}}
{{- $derived := dict }}
{{- if .Values.podProxy.enabled }}{{ $_ := set $derived "POD_PROXY" "true" }}{{ end }}
{{- include "podsonar.data" (merge (dict) .Values.proxy.settings $derived) }}
{{- end }}

{{- define "podsonar.exporterSettings" -}}
{{- include "podsonar.data" .Values.exporter.settings }}
{{- end }}

{{/* What the Consul agent beside the registrar is told: what podsonar needs of it, and the file of yours. */}}
{{- define "podsonar.consulAgentFiles" -}}
agent.json: |
  {
    "data_dir": "/consul/data",
    "client_addr": "127.0.0.1",
    "ports": { "dns": -1 },
    "leave_on_terminate": {{ ne .Values.consul.mode "agent" }},
    "disable_update_check": true
  }
{{- with .Values.consul.agent.config }}
site.json: {{ toJson . | quote }}
{{- end }}
{{- end }}
