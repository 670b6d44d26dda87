//! Microsoft Graph and its token endpoint on one real socket: a tenant in good order, in which tests break
//! one thing.
//!
//! Every request is watched: anything but a `GET` with the token, or the request for the token, fails the test
//! when the double is dropped.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::Workplace;
use super::scanner;
use super::token_endpoint::{Action, Request, TokenEndpoint, json as answer, token};

/// The id of the access package in [`super::LINK`].
pub const PACKAGE: &str = "8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11";
/// The tenant of `a.example`, which is connected.
pub const CONNECTED_TENANT: &str = "aaaaaaaa-0000-4000-8000-000000000001";
/// The connected organization of that tenant.
pub const ORGANIZATION: &str = "bbbbbbbb-0000-4000-8000-000000000002";

const ENTITLEMENT: &str = "/v1.0/identityGovernance/entitlementManagement";

type Script = Box<dyn FnMut(&Request) -> Option<Action> + Send>;

/// The double.
pub struct Graph {
    endpoint: TokenEndpoint,
    scripts: Arc<Mutex<Vec<Script>>>,
    tenant: Arc<Mutex<Value>>,
}

impl Graph {
    /// A tenant in good order with the package of [`super::LINK`], for all connected organizations.
    pub fn start() -> Self {
        let scripts: Arc<Mutex<Vec<Script>>> = Arc::default();
        let tenant = Arc::new(Mutex::new(tenant()));
        let (scripted, content) = (scripts.clone(), tenant.clone());
        let endpoint = TokenEndpoint::start(move |request| {
            let mut scripts = scripted.lock().unwrap();
            let scripted = scripts.iter_mut().rev().find_map(|it| it(request));
            scripted.unwrap_or_else(|| serve(&content.lock().unwrap(), request))
        });
        Self {
            endpoint,
            scripts,
            tenant,
        }
    }

    /// The URL of login and Graph.
    pub fn url(&self) -> String {
        self.endpoint.url()
    }

    /// Changes the tenant. Its keys are the paths below `/v1.0/` or `/beta/`.
    pub fn change(&self, change: impl FnOnce(&mut Value)) {
        change(&mut self.tenant.lock().unwrap());
    }

    /// Changes the package of [`super::LINK`].
    pub fn change_package(&self, change: impl FnOnce(&mut Value)) {
        self.change(|it| change(&mut it["accessPackages"][0]));
    }

    /// Answers requests whose target contains `part` by a script; `None` leaves it to the tenant.
    pub fn script(
        &self,
        part: &'static str,
        mut script: impl FnMut(&Request) -> Option<Action> + Send + 'static,
    ) {
        self.scripts.lock().unwrap().push(Box::new(move |request| {
            target(request).contains(part).then(|| script(request))?
        }));
    }

    /// Answers requests whose target contains `part` by this status and the error that Graph sends with it.
    pub fn refuse(&self, part: &'static str, status: u16) {
        self.script(part, move |_| Some(error(status)));
    }

    /// The targets of the requests to Graph so far.
    pub fn targets(&self) -> Vec<String> {
        let requests = self.endpoint.requests();
        let requests = requests.iter().filter(|it| it.head.starts_with("GET "));
        requests.map(|it| target(it).to_owned()).collect()
    }

    /// How many requests of any kind there were.
    pub fn requests(&self) -> usize {
        self.endpoint.requests().len()
    }

    /// Fails unless every request was a `GET` with the token, or the one for the token.
    pub fn watch(&self) {
        for request in self.endpoint.requests() {
            let is_token = request
                .head
                .starts_with("POST /contoso.onmicrosoft.com/oauth2/v2.0/token ")
                && request.form.get("grant_type").map(String::as_str) == Some("client_credentials");
            let bearer = format!("Bearer {}", scanner::TOKEN);
            let is_read = request.head.starts_with("GET /")
                && request.body.is_empty()
                && request.header("authorization") == Some(&bearer);
            assert!(
                is_token || is_read,
                "neither GET nor the token: {request:?}"
            );
        }
    }

    /// Makes a job use it, with these lines below `[entra]`, or without the table.
    pub fn configure(&self, workplace: &mut Workplace, entra: Option<&str>) {
        configure(workplace, &self.url(), &self.url(), entra);
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.watch();
        }
    }
}

/// Makes a job use these hosts for tokens and Graph.
pub fn configure(workplace: &mut Workplace, login: &str, graph: &str, entra: Option<&str>) {
    let secret = secret(workplace);
    let secret = secret.display();
    let entra = entra.map_or_else(String::new, |it| format!("[entra]\n{it}\n"));
    workplace.extra = format!(
        "[microsoft]\ntenant = \"contoso.onmicrosoft.com\"\nclient_id = \"00001111-aaaa-2222-bbbb-3333cccc4444\"\nclient_secret_file = \"{secret}\"\nlogin_url = \"{login}\"\ngraph_url = \"{graph}\"\n{entra}"
    );
    workplace.configure();
}

/// The file of the client secret.
fn secret(workplace: &Workplace) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    workplace.write("client-secret", scanner::PASSWORD);
    let file = workplace.file("client-secret");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    "client-secret".into()
}

/// The target of a request, with its query.
fn target(request: &Request) -> &str {
    request.head.split(' ').nth(1).unwrap_or_default()
}

/// An error of Graph.
pub fn error(status: u16) -> Action {
    let code = match status {
        400 => "BadRequest",
        401 => "InvalidAuthenticationToken",
        403 => "Authorization_RequestDenied",
        404 => "ResourceNotFound",
        429 => "TooManyRequests",
        _ => "ServiceUnavailable",
    };
    let body = json!({"error": {"code": code, "message": "It was refused.", "innerError": {"request-id": "1"}}});
    answer(status, &body.to_string())
}

/// An error with the pause that Graph asks for.
pub fn error_with_pause(status: u16, pause: &str) -> Action {
    let headers = format!("Content-Type: application/json\r\nRetry-After: {pause}\r\n");
    Action::Answer(
        status,
        headers,
        r#"{"error":{"code":"TooManyRequests","message":"Slow down."}}"#.into(),
    )
}

/// A page of a list.
pub fn page(value: &Value, next: Option<&str>) -> Action {
    let mut body =
        json!({"@odata.context": "https://graph.example/v1.0/$metadata", "value": value});
    if let Some(next) = next {
        body["@odata.nextLink"] = next.into();
    }
    answer(200, &body.to_string())
}

/// How many requests and assignments are on a page.
pub const PAGE: usize = 100;

/// A page of the requests or assignments of the package that the filter names.
fn of_package(all: &Value, set: &str, target: &str) -> Action {
    let (_, id) = target.split_once("accessPackage/id%20eq%20'").unwrap();
    let (id, rest) = id.split_once('\'').unwrap();
    let skip = rest.strip_prefix("&$skiptoken=");
    let skip = skip.map_or(0, |it| it.parse::<usize>().unwrap());
    let rows = all.as_array().unwrap().iter();
    let rows: Vec<_> = rows.filter(|it| it["accessPackage"]["id"] == id).collect();
    let end = rows.len().min(skip + PAGE);
    let filter = format!("accessPackage/id%20eq%20'{id}'");
    let next = format!("{ENTITLEMENT}/{set}?$filter={filter}&$skiptoken={end}");
    page(&json!(rows[skip..end]), (end < rows.len()).then_some(&next))
}

/// A request for the package, as Graph returns it for somebody who is not in the directory yet.
pub fn request(package: &str, email: &str, state: &str, created: &str) -> Value {
    json!({
        "id": format!("{email} {created}"),
        "requestType": "userAdd",
        "state": state,
        "status": state,
        "createdDateTime": created,
        "completedDateTime": null,
        "requestor": {"email": email, "objectId": null, "displayName": null, "principalName": null},
        "accessPackage": {"id": package},
    })
}

/// An assignment of the package.
pub fn assignment(package: &str, email: &str, state: &str) -> Value {
    json!({
        "id": format!("{email} assigned"),
        "state": state,
        "status": state,
        "expiredDateTime": null,
        "schedule": {"startDateTime": "2026-11-20T12:00:00Z"},
        "target": {"email": email, "objectId": null},
        "accessPackage": {"id": package},
    })
}

/// A policy with this scope, whose users may request access for themselves.
pub fn policy(scope: &str, self_request: bool) -> Value {
    json!({
        "id": format!("cccccccc-0000-4000-8000-{:012}", scope.len()),
        "displayName": format!("For {scope}"),
        "allowedTargetScope": scope,
        "specificAllowedTargets": [],
        "expiration": {"type": "afterDuration", "duration": "P365D"},
        "requestorSettings": {"enableTargetsToSelfAddAccess": self_request},
    })
}

fn tenant() -> Value {
    json!({
        "organization": [{
            "id": "dddddddd-0000-4000-8000-000000000003",
            "displayName": "Contoso",
            "verifiedDomains": [
                {"name": "contoso.example", "isDefault": true, "isInitial": false, "type": "Managed"},
                {"name": "Fabrikam.onmicrosoft.com", "isDefault": false, "isInitial": true},
            ],
        }],
        "accessPackages": [{
            "id": PACKAGE,
            "displayName": "Harbour plans",
            "description": "Plans of the harbour",
            "isHidden": true,
            "catalog": {
                "id": "eeeeeeee-0000-4000-8000-000000000004",
                "displayName": "General",
                "catalogType": "serviceDefault",
                "state": "published",
                "isExternallyVisible": true,
            },
            "assignmentPolicies": [policy("allConfiguredConnectedOrganizationUsers", true)],
        }],
        "assignmentRequests": [],
        "assignments": [],
        "connectedOrganizations": [{
            "id": ORGANIZATION,
            "displayName": "Partner A",
            "state": "configured",
            "identitySources": [{
                "@odata.type": "#microsoft.graph.azureActiveDirectoryTenant",
                "displayName": "Partner A",
                "tenantId": CONNECTED_TENANT,
            }],
        }],
        "domains": {"a.example": CONNECTED_TENANT},
        "policies/authenticationMethodsPolicy/authenticationMethodConfigurations/email": {
            "@odata.type": "#microsoft.graph.emailAuthenticationMethodConfiguration",
            "id": "Email", "state": "enabled", "allowExternalIdToUseEmailOtp": "default",
        },
        "policies/b2bManagementPolicies": [],
        "policies/crossTenantAccessPolicy/default": {
            "isServiceDefault": true,
            "b2bCollaborationInbound": {
                "usersAndGroups": {"accessType": "allowed", "targets": [{"target": "AllUsers", "targetType": "user"}]},
                "applications": {"accessType": "allowed", "targets": [{"target": "AllApplications", "targetType": "application"}]},
            },
        },
        "policies/crossTenantAccessPolicy/partners": [],
        "policies/authorizationPolicy": {"allowInvitesFrom": "everyone"},
        "identity/conditionalAccess/policies": [],
        "subscribedSkus": [{"capabilityStatus": "Enabled", "servicePlans": [{"servicePlanName": "AAD_PREMIUM_P2"}]}],
    })
}

/// The answer of the tenant.
fn serve(tenant: &Value, request: &Request) -> Action {
    if request.head.starts_with("POST ") {
        return token(scanner::TOKEN, 3599);
    }
    let target = target(request);
    let path = target.split('?').next().unwrap_or_default();
    if let Some(below) = path.strip_prefix(&format!("{ENTITLEMENT}/")) {
        return entitlement(tenant, below, target);
    }
    let below = path
        .trim_start_matches("/v1.0/")
        .trim_start_matches("/beta/");
    let domain = "tenantRelationships/findTenantInformationByDomainName(domainName='";
    if let Some(domain) = below.strip_prefix(domain) {
        return match &tenant["domains"][domain.trim_end_matches("')")] {
            Value::String(id) => answer(
                200,
                &json!({"tenantId": id, "displayName": "Partner"}).to_string(),
            ),
            _ => error(404),
        };
    }
    match &tenant[below] {
        Value::Null => error(404),
        list @ Value::Array(_) => page(list, None),
        object => answer(200, &object.to_string()),
    }
}

fn entitlement(tenant: &Value, below: &str, target: &str) -> Action {
    let packages = tenant["accessPackages"].as_array().unwrap();
    let with_id = |id: &str| packages.iter().find(|it| it["id"] == *id);
    // Graph returns what was not expanded without it.
    let expanded = |package: &Value| {
        let mut package = package.clone();
        for part in ["catalog", "assignmentPolicies"] {
            if !target.contains(part) {
                package.as_object_mut().unwrap().remove(part);
            }
        }
        package
    };
    match below.split('/').collect::<Vec<_>>()[..] {
        ["accessPackages"] => page(&packages.iter().map(expanded).collect(), None),
        ["accessPackages", id] => {
            with_id(id).map_or_else(|| error(404), |it| answer(200, &expanded(it).to_string()))
        }
        ["accessPackages", id, "catalog"] => {
            with_id(id).map_or_else(|| error(404), |it| answer(200, &it["catalog"].to_string()))
        }
        ["assignmentPolicies"] => {
            let of_it = packages
                .iter()
                .find(|it| target.contains(it["id"].as_str().unwrap()));
            page(
                &of_it.map_or_else(|| json!([]), |it| it["assignmentPolicies"].clone()),
                None,
            )
        }
        [set @ ("assignmentRequests" | "assignments")] => of_package(&tenant[set], set, target),
        ["connectedOrganizations"] => page(&tenant["connectedOrganizations"], None),
        _ => error(404),
    }
}
