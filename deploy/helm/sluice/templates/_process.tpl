{{/* What the process is told: environment, ports, times. */}}

{{/* Emissary's variable, where it is set, decides; its value may end in "s". */}}
{{- define "sluice.drainSeconds" -}}
{{- $variable := include "sluice.variable" (dict "values" .Values "name" "AMBASSADOR_DRAIN_TIME") -}}
{{- $chosen := default (toString .Values.drain.timeoutSeconds) $variable | trimSuffix "s" -}}
{{- if not (regexMatch "^[0-9]+([.][0-9]+)?$" $chosen) -}}
{{- fail (printf "env.AMBASSADOR_DRAIN_TIME: %q is no number of seconds, for example 30" $chosen) -}}
{{- end -}}
{{- ceil ($chosen | float64) | int -}}
{{- end -}}

{{/* Seconds from SIGTERM to the end of the process at the latest. */}}
{{- define "sluice.endSeconds" -}}
{{- add .Values.drain.graceSeconds (include "sluice.drainSeconds" . | int) -}}
{{- end -}}

{{- define "sluice.terminationGracePeriodSeconds" -}}
{{- $needed := include "sluice.endSeconds" . | int -}}
{{- $given := .Values.terminationGracePeriodSeconds -}}
{{- if kindIs "invalid" $given -}}
{{- add $needed 15 -}}
{{- else if lt (int $given) $needed -}}
{{- fail (printf "terminationGracePeriodSeconds: %d is less than drain.graceSeconds + drain timeout (%d): connections would be cut" (int $given) $needed) -}}
{{- else -}}
{{- int $given -}}
{{- end -}}
{{- end -}}

{{/* `envRaw` as a list; as a text it may have templates in it. */}}
{{- define "sluice.envRaw" -}}
{{- $list := .Values.envRaw -}}
{{- if kindIs "string" $list }}{{ $list = tpl $list . | fromYamlArray }}{{ end -}}
{{- if not (kindIs "slice" $list) }}{{ $list = list }}{{ end -}}
{{- range $list -}}
{{- if not (kindIs "map" .) }}{{ fail (printf "envRaw: is no list of variables: %v" .) }}{{ end -}}
{{- if has .name (list "AMBASSADOR_ID" "AMBASSADOR_NAMESPACE") -}}
{{- fail (printf "envRaw: %s decides about rights and the gateway's own objects; write it in env instead, as a plain value" .name) -}}
{{- end -}}
{{- end -}}
{{- dict "list" $list | toYaml -}}
{{- end -}}

{{/* Arguments of the process. */}}
{{- define "sluice.args" -}}
{{- $args := list "run" "--drain-grace" (toString .Values.drain.graceSeconds) -}}
{{- if not .Values.status.enabled }}{{ $args = append $args "--no-status" }}{{ end -}}
{{- with .Values.status.publishService -}}
{{- $place := regexFind "^[^/]+" . -}}
{{- if and $.Values.scope.singleNamespace (ne $place (include "sluice.ownNamespace" $)) -}}
{{- fail (printf "status.publishService: with scope.singleNamespace the namespace %s may not be read; give status.publishAddresses instead" $place) -}}
{{- end -}}
{{- $args = concat $args (list "--publish-service" .) -}}
{{- end -}}
{{- range .Values.status.publishAddresses }}{{ $args = concat $args (list "--publish-address" .) }}{{ end -}}
{{- range .Values.extraArgs -}}
{{- if hasPrefix "--ambassador-id" (toString .) -}}
{{- fail "extraArgs: --ambassador-id decides about rights and the gateway's own objects; set env.AMBASSADOR_ID instead" -}}
{{- end -}}
{{- $args = append $args (toString .) -}}
{{- end -}}
{{- range $args }}
- {{ . | quote }}
{{- end }}
{{- end -}}

{{- define "sluice.env" -}}
{{- $env := dict
  "ENVOY_CONCURRENCY" .Values.workers
  "AMBASSADOR_DRAIN_TIME" .Values.drain.timeoutSeconds
  "AMBASSADOR_HEALTHCHECK_BIND_ADDRESS" .Values.adminService.bindAddress
  "AMBASSADOR_HEALTHCHECK_BIND_PORT" .Values.adminService.port
  "SLUICE_STATE_DIR" "/var/lib/sluice" -}}
{{- if .Values.scope.singleNamespace }}{{ $_ := set $env "AMBASSADOR_SINGLE_NAMESPACE" "YES" }}{{ end -}}
{{- with .Values.namespace.name }}{{ $_ := set $env "AMBASSADOR_NAMESPACE" . }}{{ end -}}
{{- range $name, $value := .Values.env }}{{ $_ := set $env (upper $name) $value }}{{ end -}}
{{- if not (hasKey $env "AMBASSADOR_NAMESPACE") }}
- name: AMBASSADOR_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
{{- end }}
{{- range $name, $value := $env }}
- name: {{ $name }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- with (include "sluice.envRaw" . | fromYaml).list }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Ports of the Service, with HTTP/3's. */}}
{{- define "sluice.servicePorts" -}}
{{- $ports := list -}}
{{- range .Values.service.ports -}}
{{- $ports = append $ports (mergeOverwrite (dict "protocol" "TCP" "targetPort" .port) .) -}}
{{- end -}}
{{- with .Values.service.http3 }}{{ if .enabled -}}
{{- $ports = append $ports (dict "name" "http3" "port" .port "targetPort" .targetPort "protocol" "UDP") -}}
{{- end }}{{ end -}}
{{- dict "ports" $ports | toYaml -}}
{{- end -}}

{{/* Values of Emissary's chart that are taken but mean nothing here. */}}
{{- define "sluice.obsolete" -}}
{{- $found := list -}}
{{- range $key := list "ambassadorConfig" "barePod" "canary" "createNamespace" "defaultImageRepository" "docker" "prometheusExporter" "restartPolicy" "securityContext" "test" "volumeMountsRaw" "volumesRaw" "waitForApiext" -}}
{{- if hasKey $.Values $key }}{{ $found = append $found $key }}{{ end -}}
{{- end -}}
{{- if hasKey .Values.security "podSecurityPolicy" }}{{ $found = append $found "security.podSecurityPolicy" }}{{ end -}}
{{- if hasKey .Values.rbac "podSecurityPolicies" }}{{ $found = append $found "rbac.podSecurityPolicies" }}{{ end -}}
{{- if hasKey .Values.adminService "snapshotPort" }}{{ $found = append $found "adminService.snapshotPort" }}{{ end -}}
{{- if hasKey .Values.service "portsRaw" }}{{ $found = append $found "service.portsRaw" }}{{ end -}}
{{- if hasKey .Values.serviceAccount "extra" }}{{ $found = append $found "serviceAccount.extra" }}{{ end -}}
{{- join ", " $found -}}
{{- end -}}
