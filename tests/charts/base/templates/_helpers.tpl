{{- define "osm.namespace" -}}
{{- default .Release.Namespace .Values.osm.osmNamespace -}}
{{- end -}}

{{- define "osm.labels" -}}
app.kubernetes.io/name: openservicemesh.io
app.kubernetes.io/instance: {{ .Values.osm.meshName }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end -}}

{{/* The image of one component, (list . "osmController"): by its digest when the tag is empty. */}}
{{- define "osm.image" -}}
{{- $image := (index . 0).Values.osm.image -}}
{{- $component := index . 1 -}}
{{- $repository := printf "%s/%s" $image.registry (index $image.name $component) -}}
{{- if $image.tag -}}
{{- printf "%s:%s" $repository $image.tag -}}
{{- else -}}
{{- printf "%s@%s" $repository (index $image.digest $component) -}}
{{- end -}}
{{- end -}}

{{/* What the Pods of all three components have in common. */}}
{{- define "osm.podSpec" -}}
serviceAccountName: {{ .Release.Name }}
priorityClassName: system-node-critical
{{- with .Values.osm.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "osm.args" -}}
- --verbosity
- {{ .Values.osm.controllerLogLevel | quote }}
- --osm-namespace
- {{ include "osm.namespace" . | quote }}
- --osm-version
- {{ .Chart.AppVersion | quote }}
- --ca-bundle-secret-name
- {{ .Values.osm.caBundleSecretName | quote }}
- --enable-reconciler={{ .Values.osm.enableReconciler }}
{{- end -}}

{{/* Controller and injector start only when osm-bootstrap is healthy, (list . "osm-controller"). */}}
{{- define "osm.waitForBootstrap" -}}
{{- $root := index . 0 -}}
{{- $shape := $root.Files.Get "release.yaml" | fromYaml -}}
- name: init-{{ index . 1 }}
  image: {{ $root.Values.osm.curlImage }}
  command:
    - curl
    - --retry-connrefused
    - --retry=50
    - http://osm-bootstrap.{{ include "osm.namespace" $root }}.svc.cluster.local:{{ $shape.bootstrapHealthPort }}/healthz
{{- end -}}
