{{- /* Names, labels and what several pods have in common. */ -}}

{{- define "coffer.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "coffer.operatorName" -}}
{{- printf "%s-operator" (include "coffer.fullname" .) -}}
{{- end -}}

{{- define "coffer.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "coffer.operatorName" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name must be set where serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "coffer.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- /* Cluster-scoped objects of two releases of one name must differ. */ -}}
{{- define "coffer.clusterName" -}}
{{- printf "%s:%s" .Release.Namespace (include "coffer.operatorName" .) -}}
{{- end -}}

{{- /* Never with a version in it: a Deployment's selector cannot change. */ -}}
{{- define "coffer.selectorLabels" -}}
app.kubernetes.io/name: coffer
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "coffer.sharedLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "coffer.labels" -}}
{{ include "coffer.selectorLabels" . }}
{{ include "coffer.sharedLabels" . }}
{{- end -}}

{{- /* Labels of what is made for one occasion: the selector must not find it. */ -}}
{{- define "coffer.occasionLabels" -}}
app.kubernetes.io/name: coffer
app.kubernetes.io/instance: {{ .context.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{ include "coffer.sharedLabels" .context }}
{{- end -}}

{{- define "coffer.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "coffer.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- /* Where the operator is told how it runs; operator/config.ts reads it. */ -}}
{{- define "coffer.environment" -}}
- name: COFFER_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: COFFER_POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: COFFER_IMAGE
  value: {{ include "coffer.image" . | quote }}
- name: COFFER_LEASE_NAME
  value: {{ include "coffer.operatorName" . | quote }}
- name: COFFER_LOG_LEVEL
  value: {{ .Values.operator.logLevel | quote }}
- name: COFFER_HEALTH_PORT
  value: "8081"
- name: COFFER_WATCH_NAMESPACES
  value: {{ join "," .Values.operator.watchNamespaces | quote }}
{{- end -}}
