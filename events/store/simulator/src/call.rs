//! What is known of a call before it is looked into: connection, deadline, rights.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::time::Instant;
use tonic::Request;
use tonic::metadata::MetadataMap;

use crate::options::Options;
use crate::wire::Link;

#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) link: Link,
    pub(crate) requires_leader: bool,
    /// Whether it came with the credentials that are required.
    pub(crate) is_allowed: bool,
    /// The server ends the call then, as clients rely on it.
    pub(crate) deadline: Option<Instant>,
}

impl Call {
    pub(crate) fn of<T>(request: &Request<T>, options: &Options) -> Self {
        let metadata = request.metadata();
        Self {
            link: request.extensions().get::<Link>().expect("every connection is a wire").clone(),
            requires_leader: text(metadata, "requires-leader") == Some("true"),
            is_allowed: options.credentials.is_none() || text(metadata, "authorization").is_some(),
            deadline: text(metadata, "grpc-timeout")
                .and_then(timeout)
                .map(|timeout| Instant::now() + timeout),
        }
    }

    /// Comes back at the deadline, or never.
    pub(crate) async fn until_deadline(&self) {
        match self.deadline {
            Some(deadline) => tokio::time::sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    }
}

/// Whether this header names other credentials than the required ones.
pub(crate) fn is_wrong(authorization: Option<&str>, options: &Options) -> bool {
    let Some((user, password)) = &options.credentials else { return false };
    let right = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    authorization.is_some_and(|said| said != right)
}

fn text<'a>(metadata: &'a MetadataMap, name: &str) -> Option<&'a str> {
    metadata.get(name).and_then(|value| value.to_str().ok())
}

/// `grpc-timeout`: at most eight digits and a unit (gRPC over HTTP/2, "Requests").
fn timeout(said: &str) -> Option<Duration> {
    let (number, unit) = said.split_at_checked(said.len().checked_sub(1)?)?;
    let number: u64 = number.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}
