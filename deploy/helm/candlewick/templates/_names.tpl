{{/* Every template takes the root as .root, and where it is about one service, that service of the catalogue as .service. */}}

{{- define "candlewick.fullname" -}}
{{- if .root.Values.fullnameOverride -}}
{{ .root.Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains "candlewick" .root.Release.Name -}}
{{ .root.Release.Name | trunc 40 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-candlewick" .root.Release.Name | trunc 40 | trimSuffix "-" }}
{{- end -}}
{{- end -}}

{{- define "candlewick.name" -}}
{{ include "candlewick.fullname" . }}-{{ .service.name }}
{{- end -}}

{{- define "candlewick.selector" -}}
app.kubernetes.io/name: candlewick
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .service }}
app.kubernetes.io/component: {{ .name }}
{{- end }}
{{- end -}}

{{- define "candlewick.labels" -}}
{{ include "candlewick.selector" . }}
app.kubernetes.io/part-of: candlewick
app.kubernetes.io/version: {{ .root.Values.image.tag | default .root.Chart.AppVersion | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* By digest where one is given: a tag may move between two pods of one rollout. */}}
{{- define "candlewick.image" -}}
{{- $image := .root.Values.image -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* The values of one service over those of all. */}}
{{- define "candlewick.settings" -}}
{{- $own := get .root.Values.services .service.name | default dict -}}
{{- mustMergeOverwrite (deepCopy .root.Values.defaults) $own | toYaml -}}
{{- end -}}

{{- define "candlewick.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "candlewick.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: ["ALL"]
{{- end -}}

{{/* A setting read from a Secret's key, left out where the Secret is not named. */}}
{{- define "candlewick.secret" -}}
{{- if .secret.name }}
- name: {{ .variable }}
  valueFrom:
    secretKeyRef:
      name: {{ .secret.name }}
      key: {{ .key }}
      optional: {{ .optional | default false }}
{{- end }}
{{- end -}}

{{/* What every process is told; no secret is among it. */}}
{{- define "candlewick.settings.data" -}}
CANDLEWICK_CLUSTER__KAFKA_BROKERS: {{ required "servers.kafka.brokers: host:port of some brokers, divided by commas" .root.Values.servers.kafka.brokers | quote }}
CANDLEWICK_CLUSTER__PREFIX: {{ .root.Values.servers.prefix | quote }}
CANDLEWICK_CLUSTER__S3_STYLE: {{ .root.Values.servers.s3.style | quote }}
{{- with .root.Values.servers.registry.url }}
CANDLEWICK_CLUSTER__REGISTRY_URL: {{ . | quote }}
{{- end }}
{{- with .root.Values.telemetry.otlpEndpoint }}
CANDLEWICK_APP__OTLP_ENDPOINT: {{ . | quote }}
{{- end }}
CANDLEWICK_APP__SERVICE_URLS: {{ printf "*=http://%s-{service}:{port}" (include "candlewick.fullname" .) | quote }}
{{- range $name, $value := .root.Values.settings }}
{{ $name }}: {{ $value | quote }}
{{- end }}
{{- end -}}
