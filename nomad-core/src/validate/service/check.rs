//! Rules for health checks; each check tells its first failure only.

use crate::spec::ServiceCheck;
use crate::time::Nanos;

const MIN_INTERVAL: Nanos = Nanos::secs(1);
const MIN_TIMEOUT: Nanos = Nanos::secs(1);
const MAX_NOTES: usize = 255;
/// Verbs that a check may use.
const METHODS: [&str; 9] = [
    "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE",
];

/// Whether a check goes to a port.
pub(super) fn needs_port(check: &ServiceCheck) -> bool {
    matches!(
        check.check_type.to_lowercase().as_str(),
        "http" | "tcp" | "grpc"
    )
}

pub(super) fn first_error(check: &ServiceCheck, provider: &str) -> Option<String> {
    kind_error(check, provider)
        .or_else(|| timing_error(check))
        .or_else(|| restart_error(check))
        .or_else(|| {
            if provider == "nomad" {
                nomad_error(check)
            } else {
                consul_error(check)
            }
        })
}

fn kind_error(check: &ServiceCheck, provider: &str) -> Option<String> {
    let kind = check.check_type.to_lowercase();
    let allowed: &[&str] = if provider == "nomad" {
        &["http", "tcp"]
    } else {
        &["grpc", "http", "script", "tcp"]
    };
    if !allowed.contains(&kind.as_str()) {
        return Some(format!(
            "invalid check type ({:?}), must be one of {}",
            check.check_type,
            allowed.join(", ")
        ));
    }
    match kind.as_str() {
        "http" if check.path.is_empty() => Some("http type must have http path".to_owned()),
        "http" if check.path.contains("://") || check.path.contains(char::is_control) => {
            Some("relative http path must be used".to_owned())
        }
        "script" if check.command.is_empty() => {
            Some("script type must have a valid script path".to_owned())
        }
        _ => None,
    }
}

fn timing_error(check: &ServiceCheck) -> Option<String> {
    if check.interval.is_zero() {
        return Some(format!(
            "missing required value interval. Interval cannot be less than {MIN_INTERVAL}"
        ));
    }
    if check.interval < MIN_INTERVAL {
        return Some(format!(
            "interval ({}) cannot be lower than {MIN_INTERVAL}",
            check.interval
        ));
    }
    if check.timeout.is_zero() {
        return Some(format!(
            "missing required value timeout. Timeout cannot be less than {MIN_TIMEOUT}"
        ));
    }
    if check.timeout < MIN_TIMEOUT {
        return Some(format!(
            "timeout ({}) cannot be lower than {MIN_TIMEOUT}",
            check.timeout
        ));
    }
    if !matches!(
        check.initial_status.as_str(),
        "" | "passing" | "warning" | "critical"
    ) {
        return Some(format!(
            "invalid initial check state ({}), must be one of passing, warning, critical or empty",
            check.initial_status
        ));
    }
    match check.address_mode.as_str() {
        "" | "host" | "driver" | "alloc" | "alloc_ipv6" => None,
        other => Some(format!(
            "invalid address_mode {other:?}: must be one of host, driver, alloc, alloc_ipv6"
        )),
    }
}

fn restart_error(check: &ServiceCheck) -> Option<String> {
    let on_update = check.on_update.as_str();
    if !matches!(
        on_update,
        "" | "require_healthy" | "ignore" | "ignore_warnings"
    ) {
        return Some(format!(
            "on_update must be one of require_healthy, ignore_warnings, ignore; got {on_update:?}"
        ));
    }
    let restart = check.check_restart.as_ref()?;
    if on_update == "ignore" {
        return Some(
            "on_update value \"ignore\" is not supported with a check_restart block".to_owned(),
        );
    }
    if on_update == "ignore_warnings" && !restart.ignore_warnings {
        return Some(
            "on_update value \"ignore_warnings\" is not supported with check_restart ignore_warnings value \"false\"".to_owned(),
        );
    }
    if restart.limit < 0 {
        return Some(format!(
            "limit must be greater than or equal to 0 but found {}",
            restart.limit
        ));
    }
    let grace = restart.grace.unwrap_or_default();
    (grace.0 < 0).then(|| format!("grace period cannot be negative: {grace}"))
}

fn nomad_error(check: &ServiceCheck) -> Option<String> {
    let refused = [
        (
            check.expose,
            "expose may only be set for Consul service checks",
        ),
        (
            check.on_update == "ignore_warnings",
            "on_update may only be set to ignore_warnings for Consul service checks",
        ),
        (
            check
                .check_restart
                .as_ref()
                .is_some_and(|restart| restart.ignore_warnings),
            "ignore_warnings on check_restart only supported for Consul service checks",
        ),
        (
            check.address_mode == "driver",
            "address_mode = driver may only be set for Consul service checks",
        ),
        (
            check.success_before_passing != 0
                || check.failures_before_critical != 0
                || check.failures_before_warning != 0,
            "success_before_passing, failures_before_critical and failures_before_warning may only be set for Consul service checks",
        ),
        (
            !check.tls_server_name.is_empty(),
            "tls_server_name may only be set for Consul service checks",
        ),
    ];
    if let Some((_, text)) = refused.iter().find(|(found, _)| *found) {
        return Some((*text).to_owned());
    }
    let method = check.method.to_uppercase();
    (!method.is_empty() && !METHODS.contains(&method.as_str())).then(|| {
        format!(
            "method type {:?} not supported in Nomad http check",
            check.method
        )
    })
}

fn consul_error(check: &ServiceCheck) -> Option<String> {
    let kind = check.check_type.to_lowercase();
    let thresholds = [
        check.success_before_passing,
        check.failures_before_critical,
        check.failures_before_warning,
    ];
    if thresholds.iter().any(|count| *count < 0) {
        return Some("success_before_passing, failures_before_critical and failures_before_warning must be non-negative".to_owned());
    }
    if thresholds.iter().any(|count| *count > 0)
        && !matches!(kind.as_str(), "tcp" | "http" | "grpc")
    {
        return Some(format!(
            "success_before_passing, failures_before_critical and failures_before_warning are not supported for check of type {kind:?}"
        ));
    }
    if check.expose && !matches!(kind.as_str(), "http" | "grpc") {
        return Some(format!(
            "expose can only be enabled on HTTP and gRPC checks, not {kind:?}"
        ));
    }
    (check.notes.len() > MAX_NOTES)
        .then(|| format!("notes must not be longer than {MAX_NOTES} characters"))
}
