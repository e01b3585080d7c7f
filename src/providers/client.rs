//! The HTTP client that calls a provider, or a webhook's receiver. Whatever would send a request a second time, or
//! somewhere else, is off: it would be a call that nobody authorised.

use std::time::Duration;

/// Connections are dropped after this long without use. Shorter than the limit of any server in common
/// use, because a connection that closes under a request leaves nobody knowing whether it was served.
const IDLE: Duration = Duration::from_secs(4);

pub(crate) fn build(connect_timeout: Duration) -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .user_agent(concat!("nemo/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .tcp_nodelay(true)
        .referer(false)
        .connect_timeout(connect_timeout)
        .pool_idle_timeout(IDLE)
        .build()
}
