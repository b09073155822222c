"""The names of Google's predefined roles and of permissions: in full for the services that are served here, by service for the others.

Source: Google's 2,461 predefined roles of 2026-08-22, as github.com/iann0036/iam-dataset extracts them.
"""

_ROLES = """
cloudscheduler: admin jobRunner serviceAgent viewer
iam: accessPolicyAdmin accessPolicyUser accessPolicyViewer admin dataScientist databasesAdmin denyAdmin denyReviewer devOps editor
    infrastructureAdmin mlEngineer networkAdmin oauthClientAdmin oauthClientViewer operationViewer organizationRoleAdmin
    organizationRoleViewer principalAccessBoundaryAdmin principalAccessBoundaryUser principalAccessBoundaryViewer roleAdmin roleViewer
    scimSyncer securityAdmin securityAuditor securityReviewer serviceAccountAdmin serviceAccountApiKeyBindingAdmin serviceAccountCreator
    serviceAccountDeleter serviceAccountKeyAdmin serviceAccountOpenIdTokenCreator serviceAccountTokenCreator serviceAccountUser
    serviceAccountViewer siteReliabilityEngineer supportUser viewer workforcePoolAdmin workforcePoolEditor workforcePoolViewer
    workloadIdentityPoolAdmin workloadIdentityPoolViewer workloadIdentityUser workspacePoolAdmin
logging: admin bucketWriter configWriter fieldAccessor linkViewer logWriter privateLogViewer serviceAgent sqlAlertWriter viewAccessor
    viewer
monitoring: admin alertPolicyEditor alertPolicyViewer alertViewer cloudConsoleIncidentEditor cloudConsoleIncidentViewer dashboardEditor
    dashboardViewer editor metricWriter metricsScopesAdmin metricsScopesViewer notificationChannelEditor notificationChannelViewer
    notificationServiceAgent servicesEditor servicesViewer snoozeEditor snoozeViewer uptimeCheckConfigEditor uptimeCheckConfigViewer
    viewer
orgpolicy: policyAdmin policyViewer
policyanalyzer: activityAnalysisViewer admin viewer
pubsub: admin editor publisher serviceAgent subscriber viewer
resourcemanager: folderAdmin folderCreator folderEditor folderIamAdmin folderMover folderViewer lienModifier organizationAdmin
    organizationViewer projectCreator projectDeleter projectIamAdmin projectMover tagAdmin tagHoldAdmin tagUser tagViewer
run: admin builder developer editor invoker jobsExecutor jobsExecutorWithOverrides serviceAgent servicesInvoker sourceDeveloper
    sourceViewer sshReader sshRoot viewer
secretmanager: admin editor secretAccessor secretVersionAdder secretVersionManager viewer
serviceusage: apiKeysAdmin apiKeysViewer serviceUsageAdmin serviceUsageConsumer serviceUsageViewer
storage: admin annotationGeneratorService bucketViewer editor expressModeServiceInput expressModeServiceOutput expressModeUserAccess
    folderAdmin hmacKeyAdmin insightsCollectorService legacyBucketOwner legacyBucketReader legacyBucketWriter legacyObjectOwner
    legacyObjectReader objectAdmin objectCreator objectUser objectViewer viewer
"""
_PERMISSIONS = """
apikeys.keys: create delete get getKeyString list lookup undelete update
cloudscheduler.jobs: create delete enable fullView get list pause run update
cloudscheduler.locations: get list
iam.accesspolicies: bind create delete get list searchPolicyBindings unbind update
iam.denypolicies: create delete get list update
iam.oauthClientCredentials: create delete get list update
iam.oauthClients: create delete get list undelete update
iam.operations: get
iam.policybindings: get list
iam.principalaccessboundarypolicies: bind create delete get list searchPolicyBindings unbind update
iam.roles: create createTagBinding delete deleteTagBinding get list listEffectiveTags listTagBindings undelete update
iam.serviceAccountApiKeyBindings: create delete undelete
iam.serviceAccountKeys: create delete disable enable get list
iam.serviceAccounts: actAs create createTagBinding delete deleteTagBinding disable enable get getAccessToken getIamPolicy getOpenIdToken
    implicitDelegation list listEffectiveTags listTagBindings setIamPolicy signBlob signJwt undelete update
iam.workforcePoolProviderKeys: create delete get list undelete
iam.workforcePoolProviderScimGroups: create delete get list patch put
iam.workforcePoolProviderScimUsers: create delete get list patch put
iam.workforcePoolProviders: computeUserAttributes create delete get list undelete update
iam.workforcePoolSubjects: delete undelete
iam.workforcePools: create createPolicyBinding delete deletePolicyBinding get getIamPolicy list searchPolicyBindings setIamPolicy
    undelete update updatePolicyBinding
iam.workloadIdentityPoolManagedIdentities: create delete get getAttestationRules list setAttestationRules undelete update
iam.workloadIdentityPoolNamespaces: create delete get list undelete update
iam.workloadIdentityPoolProviderKeys: create delete get list undelete
iam.workloadIdentityPoolProviders: create delete get list undelete update
iam.workloadIdentityPools: create createPolicyBinding delete deletePolicyBinding get getAttestationRules getIamPolicy list
    searchPolicyBindings setAttestationRules setIamPolicy undelete update updatePolicyBinding
iam.workspacePools: createPolicyBinding deletePolicyBinding searchPolicyBindings updatePolicyBinding
logging.buckets: copyLogEntries create createTagBinding delete deleteTagBinding get list listEffectiveTags listTagBindings undelete
    update write
logging.cmekSettings: get update
logging.exclusions: create delete get list update
logging.fields: access
logging.links: create delete get list
logging.locations: get list
logging.logEntries: create download list route
logging.logMetrics: create delete get list update
logging.logScopes: create delete get list update
logging.logServiceIndexes: list
logging.logServices: list
logging.logs: delete list
logging.notificationRules: create delete get list update
logging.operations: cancel get list
logging.privateLogEntries: list
logging.queries: create delete deleteShared get getShared list listShared share update updateShared usePrivate
logging.settings: get update
logging.sinks: create delete get list update
logging.sqlAlerts: create update
logging.usage: get
logging.views: access create delete get getIamPolicy list listLogs listResourceKeys listResourceValues setIamPolicy update
monitoring.alertPolicies: create createTagBinding delete deleteTagBinding get list listEffectiveTags listTagBindings update
monitoring.alerts: get list
monitoring.dashboards: create createTagBinding delete deleteTagBinding get list listEffectiveTags listTagBindings update
monitoring.groups: create delete get list update
monitoring.metricDescriptors: create delete get list
monitoring.metricsScopes: link
monitoring.monitoredResourceDescriptors: get list
monitoring.notificationChannelDescriptors: get list
monitoring.notificationChannels: create delete get getVerificationCode list sendVerificationCode update verify
monitoring.services: create delete get list update
monitoring.slos: create delete get list update
monitoring.snoozes: create get list update
monitoring.timeSeries: create list
monitoring.uptimeCheckConfigs: create delete get list update
orgpolicy.constraints: list
orgpolicy.customConstraints: create delete get list update
orgpolicy.policies: create delete list update
orgpolicy.policy: get set
policyanalyzer.resourceAuthorizationActivities: query
policyanalyzer.serviceAccountKeyLastAuthenticationActivities: query
policyanalyzer.serviceAccountLastAuthenticationActivities: query
pubsub.messageTransforms: validate
pubsub.schemas: attach commit create delete get getIamPolicy list listRevisions rollback setIamPolicy validate
pubsub.snapshots: create createTagBinding delete deleteTagBinding get getIamPolicy list listEffectiveTags listTagBindings seek
    setIamPolicy update
pubsub.subscriptions: consume create createTagBinding delete deleteTagBinding get getIamPolicy list listEffectiveTags listTagBindings
    setIamPolicy update
pubsub.topics: attachSubscription create createTagBinding delete deleteTagBinding detachSubscription get getIamPolicy list
    listEffectiveTags listTagBindings publish setIamPolicy update updateTag
resourcemanager.capabilities: get update
resourcemanager.folders: create createPolicyBinding delete deletePolicyBinding get getIamPolicy list move searchPolicyBindings
    setIamPolicy undelete update updatePolicyBinding
resourcemanager.hierarchyNodes: createTagBinding deleteTagBinding listEffectiveTags listTagBindings
resourcemanager.organizations: createPolicyBinding deletePolicyBinding get getIamPolicy searchPolicyBindings setIamPolicy
    updatePolicyBinding
resourcemanager.projects: create createBillingAssignment createPolicyBinding delete deleteBillingAssignment deletePolicyBinding get
    getIamPolicy list move searchPolicyBindings setIamPolicy undelete update updateLiens updatePolicyBinding
resourcemanager.tagHolds: create delete list
resourcemanager.tagKeys: create delete get getIamPolicy list setIamPolicy update
resourcemanager.tagValueBindings: create delete
resourcemanager.tagValues: create delete get getIamPolicy list setIamPolicy update
run.configurations: get list
run.executions: cancel delete get list
run.instances: create delete get getIamPolicy invoke list setIamPolicy sshRead sshRoot start stop update
run.jobs: create createTagBinding delete deleteTagBinding get getIamPolicy list listEffectiveTags listTagBindings run runWithOverrides
    setIamPolicy sshRead sshRoot update
run.locations: list uploadSource
run.operations: delete get list
run.prompts: get
run.revisions: delete get list
run.routes: get invoke list
run.services: create createTagBinding delete deleteTagBinding get getIamPolicy list listEffectiveTags listTagBindings setIamPolicy
    sshRead sshRoot update
run.tasks: get list
run.workerpools: create delete get getIamPolicy list setIamPolicy sshRead sshRoot update
secretmanager.locations: get list
secretmanager.secrets: create createTagBinding delete deleteTagBinding enableManagedRotation get getIamPolicy list listEffectiveTags
    listTagBindings rotate setIamPolicy update
secretmanager.versions: access add destroy disable enable get list
serviceusage.apiKeys: regenerate revert
serviceusage.consumerpolicy: analyze get update
serviceusage.contentsecuritypolicy: get update
serviceusage.effectivemcppolicy: get
serviceusage.effectivepolicy: get
serviceusage.groups: list listExpandedMembers listMembers
serviceusage.mcppolicy: get update
serviceusage.operations: get
serviceusage.quotas: get update
serviceusage.services: disable enable get list use
serviceusage.values: test
storage.anywhereCaches: create disable get list pause resume update
storage.bucketOperations: cancel get list
storage.buckets: create createTagBinding delete deleteTagBinding enableObjectRetention get getIamPolicy getIpFilter getObjectInsights
    list listEffectiveTags listTagBindings relocate restore setIamPolicy setIpFilter update viewIntelligenceDetails
storage.featureConfigs: create delete get list update
storage.folders: create delete get list rename
storage.hmacKeys: create delete get list update
storage.intelligenceConfigs: get update
storage.managedFolders: create delete get getIamPolicy list setIamPolicy
storage.multipartUploads: abort create list listParts
storage.objects: create createContext delete deleteContext get getIamPolicy list move overrideUnlockedRetention restore setIamPolicy
    setRetention update updateContext
"""
_OTHER_SERVICES = """
accessapproval accesscontextmanager actions advisorynotifications agentcommunicationadmin agentgateway agentidentity agentregistry
aiedgeportal aiplatform aisandbox alloydb alloydbproducer analyticshub androidmanagement anthos anthosaudit anthosconfigmanagement
anthosidentityservice anthospolicycontroller anthosservicemesh anthossupport apigateway apigateway_management apigee apigeeconnect
apigeeregistry apihub apim appdevelopmentexperience appengine appengineflex apphub applianceactivation appmetadata appoptimize
apptopology apsinfra artifactregistry assuredoss assuredworkloads auditmanager automl automlrecommendations autoscaling axt backstory
backupdr baremetalsolution batch beyondcorp biglake bigquery bigqueryconnection bigquerycontinuousquery bigquerydatapolicies
bigquerydatapolicy bigquerydatatransfer bigquerymigration bigqueryomni bigqueryspark bigtable billing binaryauthorization
blockchainnodeengine blockchainvalidatormanager businessaicode capacityplanner carestudio certificatemanager certificatemanagerproducer
ces chat chronicle chroniclesm ciem clientauthconfig cloud cloudaicompanion cloudapiregistry cloudasset cloudbuild cloudconfig
cloudcontrolspartner clouddebugger clouddeploy clouddeploymentmanager cloudfunctions cloudhub cloudidentity cloudiot cloudiottoken
cloudjobdiscovery cloudkms cloudkmskacls cloudlocationfinder cloudmessaging cloudmigration cloudnotifications cloudnumberregistry
cloudonefs cloudoptimization cloudprivatecatalog cloudprivatecatalogproducer cloudprofiler cloudquotas cloudsecuritycompliance
cloudsecurityscanner cloudsql cloudsupport cloudtasks cloudtestservice cloudtoolresults cloudtpu cloudtrace cloudtranslate
cloudvolumesgcp-api codelabapikeys commerceagreementpublishing commercebusinessenablement commerceoffercatalog commerceorggovernance
commerceprice commercepricemanagement commerceproducer compliancescanning composer compute confidentialcomputing config configdelivery
connectors consumerprocurement contactcenteraiplatform contactcenterinsights container containeranalysis containerregistry
containerscanning containersecurity containerthreatdetection contentwarehouse databasecenter databaseinsights databasesconsole
datacatalog dataconnectors dataflow dataform datafusion datalabeling datalineage datamigration datapipelines dataplex dataprep dataproc
dataprocessing dataprocrm datastore datastream datastudio dellemccloudonefs deploymentmanager designcenter developerconnect devicerun
devicestreaming dialogflow discoveryengine dlp dns documentai documentaicore domains dspm earlyaccesscenter earth earthengine
edgecontainer edgenetwork endpoints endpointsportal enterpriseknowledgegraph enterprisepurchasing errorreporting essentialcontacts
eventarc externalexposure faulttesting fcmdata file financialservices finwhale firebase firebaseabt firebaseanalytics firebaseappcheck
firebaseappdistro firebaseapphosting firebaseauth firebasecloudmessaging firebasecrash firebasecrashlytics firebasedatabase
firebasedataconnect firebasedynamiclinks firebaseextensions firebaseextensionspublisher firebasehosting firebaseinappmessaging
firebasemessagingcampaigns firebaseml firebasemods firebasenotifications firebaseperformance firebasepredictions firebaserules
firebasestorage firebasetelemetry firebasevertexai firestore firewallinsights fleetengine flow fpnv ftp gameservices gcp
gdchardwaremanagement geminicloudassist geminicodeassistmanagement geminidataanalytics generativelanguage genomics geospatialai
gkebackup gkedataplanemanagement gkehub gkemulticloud gkeonprem gsuiteaddons health healthcare hypercomputecluster iamconnectors iap
identityplatform identitytoolkit ids integrations issuerswitch krmapihosting kubernetesmetadata kuberun licensemanager lifesciences
livestream looker lookerstudio lustre maintenance managedflink managedidentities managedkafka mandiant mapsadmin mapsanalytics
mapsplatformdatasets marketplacesolutions mcp mediaasset memcache memorystore meshconfig meshcontrolplane meshdataplane metastore
migrationcenter ml modelarmor multiclusteringress multiclustermetering multiclusterservicediscovery navigationconnect nestconsole netapp
netappcloudvolumes networkactions networkconnectivity networkmanagement networksecurity networkservices notebooks oauthconfig
observability oci ondemandscanning opsconfigmonitoring oracledatabase osconfig parallelstore parametermanager
paymentsresellersubscription pivulnscanprovandexec policyremediator policyremediatormanager policysimulator privateca
privilegedaccessmanager prodactuation progressiverollout proximitybeacon publicca pubsublite rapidmigrationassessment
readerrevenuesubscriptionlinking recaptchaenterprise recommender redis redisenterprisecloud remotebuildexecution remotingcloud
resourcesettings retail riscconfigs riscconfigurationservice riskmanager rma roads routeoptimization runapps runtimeconfig saasconfig
saasservicemgmt seclm securedlandingzone securesourcemanager securitycenter securitycentermanagement securityposture serverless
servicebroker serviceconsumermanagement servicedirectory servicehealth servicemanagement servicenetworking servicesecurityinsights
source sourcerepo spanner speakerid spectrumsas speech sqlx stackdriver storagebatchoperations storageinsights storagetransfer stream
subscribewithgoogledeveloper telcoautomation telemetry threatdetection threatintelligence timeseriesinsights tpu trafficdirector
transcoder transferappliance translationhub vectorsearch videostitcher visionai visualinspection vmmigration vmwareengine vpcaccess
websecurityscanner workflows workloadcertificate workloadidentity workloadmanager workspacemarketplace workstations
"""
_BASIC = frozenset({"roles/owner", "roles/editor", "roles/viewer", "roles/browser"})


def _full_names(listing: str, prefix: str = "") -> frozenset[str]:
    names, group = set(), ""
    for word in listing.split():
        if word.endswith(":"):
            group = word[:-1]
        else:
            names.add(f"{prefix}{group}.{word}")
    return frozenset(names)


ROLES = _full_names(_ROLES, "roles/") | _BASIC
PERMISSIONS = _full_names(_PERMISSIONS)
OTHER_SERVICES = frozenset(_OTHER_SERVICES.split())


def is_role(name: str) -> bool:
    """Return whether Google has a predefined role of this name; of services that are not served here, any name counts."""
    return name in ROLES or name.removeprefix("roles/").partition(".")[0] in OTHER_SERVICES


def is_permission(name: str) -> bool:
    """Return whether Google has a permission of this name; of services that are not served here, any name counts."""
    return name in PERMISSIONS or name.partition(".")[0] in OTHER_SERVICES
