{{/*
The objects of manifests/base, changed by what the values say. One source for kustomize, the
command and this chart: what differs between them is written here and nowhere else.
*/}}

{{/* Which values concern an object: by the name of its account or workload. */}}
{{- define "ambit.values" -}}
{{- $name := trimPrefix "ambit-" .name -}}
{{- if eq $name "control" }}{{ toYaml .root.Values.control }}
{{- else if eq $name "node-agent" }}{{ toYaml .root.Values.nodeAgent }}
{{- else if eq $name "ztunnel" }}{{ toYaml .root.Values.ztunnel }}
{{- else }}{}{{ end -}}
{{- end -}}

{{/* The dashboards in control's container: variables, port, files. Changes both in place. */}}
{{- define "ambit.dashboard" -}}
{{- $folder := "/etc/ambit/dashboard" -}}
{{- $own := dict "DASHBOARD_LISTEN" "[::]:15018" "DASHBOARD_TOKENS" "true" "DASHBOARD_SERVICE" "ambit-dashboard" -}}
{{- $_ := set $own "DASHBOARD_CERTIFICATE" (printf "%s/tls.crt" $folder) -}}
{{- $_ := set $own "DASHBOARD_KEY" (printf "%s/tls.key" $folder) -}}
{{- if .root.Values.dashboard.clientCertificates }}{{ $_ := set $own "DASHBOARD_CLIENT_CA" (printf "%s/ca.crt" $folder) }}{{ end -}}
{{- range $name, $value := $own -}}
{{- if not (hasKey $.extra $name) }}{{ $_ := set $.extra $name $value }}{{ end -}}
{{- end -}}
{{- $ips := dict "name" "POD_IPS" "valueFrom" (dict "fieldRef" (dict "fieldPath" "status.podIPs")) -}}
{{- $_ := set .container "env" (append .container.env $ips) -}}
{{- $_ := set .container "ports" (append .container.ports (dict "name" "https-dashboard" "containerPort" 15018)) -}}
{{- $mount := dict "name" "dashboard" "mountPath" $folder "readOnly" true -}}
{{- $_ := set .container "volumeMounts" (append .container.volumeMounts $mount) -}}
{{- end -}}

{{/* A container: its image, its variables, its resources. Changes it in place. */}}
{{- define "ambit.container" -}}
{{- $images := .root.Values.images -}}
{{- $short := .container.image | splitList "/" | last | splitList ":" | first -}}
{{- $_ := set .container "image" (printf "%s/%s:%s" (trimSuffix "/" $images.registry) $short (toString $images.tag)) -}}
{{- $_ := set .container "imagePullPolicy" $images.pullPolicy -}}
{{- with .values.resources }}{{ $_ := set $.container "resources" . }}{{ end -}}
{{- $extra := deepCopy (.values.env | default dict) -}}
{{- if eq $short "control" -}}
{{- $_ := set $extra "WAYPOINT_IMAGE" (printf "%s/waypoint:%s" (trimSuffix "/" $images.registry) (toString $images.tag)) -}}
{{- if .root.Values.istioWaypointClass }}{{ $_ := set $extra "ISTIO_WAYPOINT_CLASS" "true" }}{{ end -}}
{{- if .root.Values.dashboard.enabled }}{{ include "ambit.dashboard" (dict "root" $.root "container" $.container "extra" $extra) }}{{ end -}}
{{- end -}}
{{- $env := list -}}
{{- range .container.env -}}
{{- if hasKey $extra .name -}}
{{- $env = append $env (dict "name" .name "value" (get $extra .name | toString)) -}}
{{- $_ := unset $extra .name -}}
{{- else }}{{ $env = append $env . }}{{ end -}}
{{- end -}}
{{- range $name, $value := $extra }}{{ $env = append $env (dict "name" $name "value" (toString $value)) }}{{ end -}}
{{- $_ := set .container "env" $env -}}
{{- end -}}

{{/* The template of a workload's pods. Changes it in place. */}}
{{- define "ambit.pod" -}}
{{- $pod := .pod.spec -}}
{{- $meta := .pod.metadata -}}
{{- range $pod.containers }}{{ include "ambit.container" (dict "root" $.root "values" $.values "container" .) }}{{ end -}}
{{- if and .root.Values.dashboard.enabled (eq (first $pod.containers).name "control") -}}
{{- $secret := dict "secretName" .root.Values.dashboard.secret -}}
{{- $_ := set $pod "volumes" (append $pod.volumes (dict "name" "dashboard" "secret" $secret)) -}}
{{- end -}}
{{- with .root.Values.images.pullSecrets -}}
{{- $names := list }}{{ range . }}{{ $names = append $names (dict "name" .) }}{{ end -}}
{{- $_ := set $pod "imagePullSecrets" $names -}}
{{- end -}}
{{- range $field := list "nodeSelector" "tolerations" "affinity" "priorityClassName" -}}
{{- with get $.values $field }}{{ $_ := set $pod $field . }}{{ end -}}
{{- end -}}
{{- with .values.podLabels }}{{ $_ := set $meta "labels" (mergeOverwrite (deepCopy .) $meta.labels) }}{{ end -}}
{{- with .values.podAnnotations }}{{ $_ := set $meta "annotations" (mergeOverwrite (deepCopy .) $meta.annotations) }}{{ end -}}
{{- range $pod.volumes -}}
{{- if eq .name "cni-bin" }}{{ $_ := set .hostPath "path" $.root.Values.cni.binDir }}{{ end -}}
{{- if eq .name "cni-conf" }}{{ $_ := set .hostPath "path" $.root.Values.cni.confDir }}{{ end -}}
{{- end -}}
{{- end -}}
