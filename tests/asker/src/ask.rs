//! What a manager is asked for.

use anyhow::{Context, Result, bail};
use zbus::Connection;
use zbus::zvariant::{DynamicType, Value};

const MANAGER: &str = "org.freedesktop.systemd1";
const PATH: &str = "/org/freedesktop/systemd1";
const INTERFACE: &str = "org.freedesktop.systemd1.Manager";

/// Properties of a unit, as StartTransientUnit takes them.
type Properties<'a> = Vec<(&'a str, Value<'a>)>;

/// Asks for `what`, of `unit`, by the system bus, and waits for the answer.
pub(crate) async fn ask(what: &str, unit: &str) -> Result<()> {
    let connection = &Connection::system().await.context("no system bus")?;
    match what {
        "start" => call(connection, "StartUnit", &(unit, "replace")).await,
        "enable" => {
            let files = (vec![unit], false, false);
            call(connection, "EnableUnitFiles", &files).await
        }
        "transient" => {
            let none: Vec<(&str, Properties<'_>)> = Vec::new();
            let body = (unit, "replace", service(unit), none);
            call(connection, "StartTransientUnit", &body).await
        }
        // As systemd-run does: the timer is asked for, and its service comes along.
        "timer" => {
            let stem = unit.strip_suffix(".timer").context("no name of a timer")?;
            let triggered = format!("{stem}.service");
            let soon = ("OnActiveSec", 500_000_u64); // microseconds
            let timer: Properties<'_> = vec![
                ("TimersMonotonic", Value::new(vec![soon])),
                ("AccuracyUSec", Value::new(100_000_u64)),
                ("RemainAfterElapse", Value::new(false)),
            ];
            let services = vec![(triggered.as_str(), service(stem))];
            let body = (unit, "fail", timer, services);
            call(connection, "StartTransientUnit", &body).await
        }
        _ => bail!("{what} is nothing to ask for"),
    }
}

/// A service that leaves /run/STEM.ran.
fn service(unit: &str) -> Properties<'static> {
    let stem = unit.strip_suffix(".service").unwrap_or(unit);
    let touch = "/bin/touch".to_owned();
    let arguments = vec![touch.clone(), format!("/run/{stem}.ran")];
    vec![
        ("Type", Value::new("oneshot")),
        ("ExecStart", Value::new(vec![(touch, arguments, false)])),
    ]
}

async fn call<B>(connection: &Connection, method: &str, body: &B) -> Result<()>
where
    B: zbus::export::serde::Serialize + DynamicType + Sync,
{
    let to = Some(MANAGER);
    let answer = connection.call_method(to, PATH, Some(INTERFACE), method, body);
    let answer = answer.await.with_context(|| method.to_owned())?;
    println!("{method}: {answer}");
    Ok(())
}
