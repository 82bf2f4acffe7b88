{{- define "synth.name" -}}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{- end }}

{{- define "synth.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "synth.labels" -}}
{{ include "synth.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "synth.image" -}}{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{- end }}

{{/* What every container may: nothing. */}}
{{- define "synth.locked" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  capabilities: { drop: [ALL] }
  seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "synth.secret" -}}
- name: {{ index . 0 }}
  valueFrom: { secretKeyRef: { name: {{ index . 1 | quote }}, key: {{ index . 2 }} } }
{{- end }}

{{/* How S3 is reached. */}}
{{- define "synth.s3" -}}
{{- with .Values.s3 }}
{{- if .endpoint }}
- { name: SYNTH_ASSETS_S3_ENDPOINT, value: {{ .endpoint | quote }} }
{{- end }}
{{- if .encryption }}
- { name: SYNTH_ASSETS_S3_ENCRYPTION, value: {{ .encryption | quote }} }
{{- end }}
{{- if .kmsKey }}
- { name: SYNTH_ASSETS_S3_KMS_KEY, value: {{ .kmsKey | quote }} }
{{- end }}
{{- if .region }}
- { name: AWS_DEFAULT_REGION, value: {{ .region | quote }} }
{{- end }}
{{- if .existingSecret }}
{{ include "synth.secret" (list "AWS_ACCESS_KEY_ID" .existingSecret "AWS_ACCESS_KEY_ID") }}
{{ include "synth.secret" (list "AWS_SECRET_ACCESS_KEY" .existingSecret "AWS_SECRET_ACCESS_KEY") }}
{{- end }}
{{- end }}
{{- if .Values.authorities.existingConfigMap }}
- { name: AWS_CA_BUNDLE, value: /run/authorities/ca.crt }
{{- end }}
{{- end }}

{{/* What the webservers and the daemon need: Dagster's history, and neither keys nor artifacts. */}}
{{- define "synth.history" -}}
- { name: SYNTH_ASSETS_PROJECT, value: {{ .Values.project | quote }} }
{{ include "synth.secret" (list "SYNTH_ASSETS_POSTGRES_URL" .Values.postgres.existingSecret "url") }}
{{- if .Values.s3.logs }}
- { name: SYNTH_ASSETS_S3_LOGS, value: {{ .Values.s3.logs | quote }} }
{{- end }}
{{- end }}

{{- define "synth.env.history" -}}
{{ include "synth.history" . }}
{{- if .Values.s3.logs }}
{{- include "synth.s3" . }}
{{- end }}
{{- end }}

{{/* What handles data. */}}
{{- define "synth.env.working" -}}
{{ include "synth.history" . }}
{{- include "synth.s3" . }}
- { name: SYNTH_ASSETS_S3_RESTRICTED, value: {{ .Values.s3.restricted | quote }} }
- { name: SYNTH_ASSETS_S3_MASKED, value: {{ .Values.s3.masked | quote }} }
- { name: SYNTH_ASSETS_S3_RELEASE, value: {{ .Values.s3.release | quote }} }
{{- if not (hasKey .Values.settings "SYNTH_ASSETS_INBOX") }}
- { name: SYNTH_ASSETS_INBOX, value: /opt/synth-assets/var/inbox }
{{- end }}
{{ include "synth.secret" (list "SYNTH_ASSETS_MASTER_KEY" .Values.keys.existingSecret "master-key") }}
{{ include "synth.secret" (list "SYNTH_ASSETS_LEDGER_KEY" .Values.keys.existingSecret "ledger-key") }}
{{- if .Values.postgres.vault }}
{{ include "synth.secret" (list "SYNTH_ASSETS_VAULT_URL" .Values.postgres.existingSecret "vault-url") }}
{{- end }}
{{- range $name, $value := .Values.settings }}
- { name: {{ $name }}, value: {{ $value | quote }} }
{{- end }}
{{- end }}

{{- define "synth.mounts.history" -}}
- { name: tmp-{{ .container }}, mountPath: /tmp }
- { name: home, mountPath: /opt/synth-assets/var/dagster, subPath: dagster }
{{- if .root.Values.authorities.existingConfigMap }}
- { name: authorities, mountPath: /run/authorities, readOnly: true }
{{- end }}
{{- end }}

{{- define "synth.mounts.working" -}}
- { name: tmp-{{ .container }}, mountPath: /tmp }
- { name: home, mountPath: /opt/synth-assets/var }
- { name: shm, mountPath: /dev/shm }
{{- if .root.Values.datasets.existingConfigMap }}
- { name: datasets, mountPath: /opt/synth-assets/configs/datasets, readOnly: true }
{{- end }}
{{- if .root.Values.authorities.existingConfigMap }}
- { name: authorities, mountPath: /run/authorities, readOnly: true }
{{- end }}
{{- end }}
