{{- /* What the operator may do: what its code does, and no more. */ -}}

{{- /* Our own kinds. By ClusterRole in either mode: a namespace that is being deleted loses its RoleBindings before our
       finalizers are gone. */ -}}
{{- define "coffer.ownRules" -}}
- apiGroups: [coffer.dev]
  resources: [kmsproviders, encryptedstores]
  verbs: [get, list, watch, patch]
- apiGroups: [coffer.dev]
  resources: [encryptedbuckets]
  verbs: [list, watch, patch]
# The store "default" of a namespace, when a bucket names none.
- apiGroups: [coffer.dev]
  resources: [encryptedstores]
  verbs: [create]
- apiGroups: [coffer.dev]
  resources: [kmsproviders/status, encryptedbuckets/status, encryptedstores/status]
  verbs: [patch]
{{- end -}}

{{- /* What belongs to resources, in the namespaces where these are. */ -}}
{{- define "coffer.namespaceRules" -}}
# Key rings, access Secrets, configurations, and the credentials that a KmsProvider names. Lists and watches ask for
# metadata alone, which RBAC cannot say.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, update, patch, delete]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch]
# The annotation that makes a kubelet refresh the configuration.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch, patch]
- apiGroups: [""]
  resources: [services, persistentvolumeclaims, serviceaccounts]
  verbs: [get, list, watch, create, patch]
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [get, list, watch, create, patch]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch]
# One that a store no longer wants is removed.
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
# Logins to Vault as this one ServiceAccount. A KmsProvider that names another needs a Role from whoever may give it.
- apiGroups: [""]
  resources: [serviceaccounts/token]
  resourceNames: [coffer-kms]
  verbs: [create]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}
