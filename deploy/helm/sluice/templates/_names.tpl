{{/* Names and labels. Those of Emissary's chart, so that the same values give the same selectors. */}}

{{- define "sluice.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "sluice.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "sluice.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{- define "sluice.deploymentName" -}}
{{- default (include "sluice.fullname" .) .Values.deploymentNameOverride -}}
{{- end -}}

{{- define "sluice.rbacName" -}}
{{- default (include "sluice.fullname" .) .Values.rbac.nameOverride -}}
{{- end -}}

{{- define "sluice.serviceAccountName" -}}
{{- default (ternary (include "sluice.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "sluice.selectorLabels" -}}
{{- if .Values.service.selector -}}
{{- toYaml .Values.service.selector -}}
{{- else -}}
app.kubernetes.io/name: {{ include "sluice.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}
{{- end -}}

{{- define "sluice.deploymentTool" -}}
{{- default .Release.Service .Values.deploymentTool -}}
{{- end -}}

{{- define "sluice.labels" -}}
{{- $own := dict
  "app.kubernetes.io/name" (include "sluice.name" .)
  "app.kubernetes.io/instance" .Release.Name
  "app.kubernetes.io/part-of" .Release.Name
  "app.kubernetes.io/managed-by" (include "sluice.deploymentTool" .)
  "app.kubernetes.io/version" .Chart.AppVersion -}}
{{- if eq (include "sluice.deploymentTool" .) "Helm" -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- end -}}
{{- toYaml $own -}}
{{- end -}}

{{/* Without chart and version: a template that changes restarts pods. What the operator selects by is there in any case. */}}
{{- define "sluice.podLabels" -}}
{{- $own := dict
  "app.kubernetes.io/name" (include "sluice.name" .)
  "app.kubernetes.io/instance" .Release.Name
  "app.kubernetes.io/part-of" .Release.Name
  "app.kubernetes.io/managed-by" (include "sluice.deploymentTool" .) -}}
{{- toYaml (mergeOverwrite $own (deepCopy .Values.podLabels) (include "sluice.selectorLabels" . | fromYaml)) -}}
{{- end -}}

{{- define "sluice.metadata" -}}
name: {{ include "sluice.fullname" . }}
namespace: {{ include "sluice.namespace" . }}
labels:
  {{- include "sluice.labels" . | nindent 2 }}
{{- end -}}

{{- define "sluice.image" -}}
{{- $repository := default .Chart.Name .Values.image.repository -}}
{{- if .Values.image.fullImageOverride -}}
{{- .Values.image.fullImageOverride -}}
{{- else if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* A variable of `env`, whose names may be written in any case: (dict "values" .Values "name" "AMBASSADOR_ID"). */}}
{{- define "sluice.variable" -}}
{{- range $name, $value := .values.env }}{{ if eq (upper $name) $.name }}{{ $value | toString }}{{ end }}{{ end -}}
{{- end -}}

{{- define "sluice.id" -}}
{{- include "sluice.variable" (dict "values" .Values "name" "AMBASSADOR_ID") -}}
{{- end -}}

{{/* The Lease by which one replica is chosen; the process computes the same (gateway/status/make.py). */}}
{{- define "sluice.leaseName" -}}
{{- $id := include "sluice.id" . -}}
{{- $label := regexReplaceAll "[^A-Za-z0-9-]+" $id "-" | lower | trimAll "-" | trunc 40 | trimAll "-" -}}
{{- if has $id (list "" "default") -}}
sluice-status
{{- else if eq $label $id -}}
sluice-status-{{ $label }}
{{- else -}}
{{- list "sluice-status" $label (sha256sum $id | trunc 8) | compact | join "-" -}}
{{- end -}}
{{- end -}}

{{/* AMBASSADOR_NAMESPACE as the process has it: what it reads with scope.singleNamespace, and where its Lease is. */}}
{{- define "sluice.ownNamespace" -}}
{{- $variable := include "sluice.variable" (dict "values" .Values "name" "AMBASSADOR_NAMESPACE") -}}
{{- default (default (include "sluice.namespace" .) .Values.namespace.name) $variable -}}
{{- end -}}

{{/* The id that the gateway's own objects need, as the spec of a getambassador.io object. */}}
{{- define "sluice.ambassadorId" -}}
{{- with include "sluice.id" . }}
ambassador_id:
  - {{ . | quote }}
{{- end }}
{{- end -}}
