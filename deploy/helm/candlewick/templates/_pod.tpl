{{/* The pod of one service: the same for a Deployment and a StatefulSet but for where its data lies. */}}
{{- define "candlewick.pod" -}}
{{- $settings := include "candlewick.settings" . | fromYaml -}}
{{- $root := .root -}}
{{- $service := .service -}}
metadata:
  labels:
    {{- include "candlewick.labels" . | nindent 4 }}
    {{- with $settings.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # a change of settings is a rollout
    checksum/settings: {{ include (print $root.Template.BasePath "/settings.yaml") $root | sha256sum }}
    {{- with $settings.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "candlewick.fullname" (dict "root" $root) }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with $root.Values.image.pullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $settings.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  # before SIGTERM {{ $settings.preStopSeconds }} s, then requests in hand 3 s, the service's own end at most 15 s, and its stores
  terminationGracePeriodSeconds: {{ $settings.terminationGracePeriodSeconds }}
  securityContext:
    {{- include "candlewick.podSecurity" . | nindent 4 }}
  {{- with $settings.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $settings.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  topologySpreadConstraints:
    {{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
    - maxSkew: 1
      topologyKey: {{ $key }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "candlewick.selector" (dict "root" $root "service" $service) | nindent 10 }}
    {{- end }}
  containers:
    - name: {{ $service.name }}
      image: {{ include "candlewick.image" . }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      args:
        - run
        - {{ $service.name }}
        - --profile
        - cluster
        - --exchange
        - {{ $root.Values.exchange }}
        # the seat in consumer groups and the name of transactions: who comes back under its name takes both at once
        - --member
        - $(MEMBER)
        {{- with $settings.args }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      ports:
        - name: http
          containerPort: {{ $service.port }}
      envFrom:
        - configMapRef:
            name: {{ include "candlewick.fullname" . }}-settings
      env:
        - name: MEMBER
          valueFrom:
            fieldRef:
              fieldPath: metadata.name
        {{- with include "candlewick.secrets" . | trim }}
        {{- . | nindent 8 }}
        {{- end }}
        {{- range $name, $value := $settings.env }}
        - name: {{ $name }}
          value: {{ $value | quote }}
        {{- end }}
      startupProbe:
        httpGet: &health {path: /health, port: http}
        periodSeconds: 2
        failureThreshold: {{ div $settings.startSeconds 2 }}
      readinessProbe:
        httpGet: *health
        periodSeconds: 2
        timeoutSeconds: 2
        failureThreshold: 2
      livenessProbe:
        # /health says 503 while Kafka is away, and a restart brings no broker back: only a loop that answers nothing is dead
        httpGet: {path: /metrics, port: http}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 3
      lifecycle:
        preStop:
          exec:
            # until every node has taken the pod out of its routes
            command: ["sleep", {{ $settings.preStopSeconds | quote }}]
      resources:
        {{- toYaml $settings.resources | nindent 8 }}
      securityContext:
        {{- include "candlewick.containerSecurity" . | nindent 8 }}
      volumeMounts:
        - name: data
          mountPath: /data
        - name: tmp
          mountPath: /tmp
  volumes:
    {{- if not $service.keeps }}
    - name: data
      emptyDir:
        sizeLimit: {{ $settings.scratch }}
    {{- end }}
    - name: tmp
      emptyDir:
        sizeLimit: 256Mi
{{- end -}}

{{/* What a service is told of the servers: its own database's address and no other service's. */}}
{{- define "candlewick.secrets" -}}
{{- $servers := .root.Values.servers -}}
{{- $needs := .service.needs -}}
{{- if has "postgres" $needs }}
{{- include "candlewick.secret" (dict "secret" $servers.postgres.secret "variable" "CANDLEWICK_CLUSTER__POSTGRES_URL" "key" .service.name) }}
{{- include "candlewick.secret" (dict "secret" $servers.postgres.secret "variable" "CANDLEWICK_CLUSTER__POSTGRES_REPLICA_URL" "key" (printf "%s-replica" .service.name) "optional" true) }}
{{- end }}
{{- range $server := list "redis" "rabbitmq" "s3" }}
{{- if has $server $needs }}
{{- include "candlewick.secret" (dict "secret" (get $servers $server).secret "variable" (printf "CANDLEWICK_CLUSTER__%s_URL" (upper $server)) "key" "url" "optional" (eq $server "rabbitmq")) }}
{{- end }}
{{- end }}
{{- end -}}
