//! `nemo serve`: puts the parts together, listens, and stops in good order.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::middleware::from_fn;
use actix_web::{App as Web, HttpServer, web};
use anyhow::Context as _;
use arc_swap::ArcSwap;
use nemo_store::EventStore;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use crate::app::{App, Lifecycle};
use crate::auth::in_force::SecretsInForce;
use crate::auth::misses::ColdMisses;
use crate::auth::secrets::{FirstStart, Secrets};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::ledger::{Ledger, LedgerOptions};
use crate::metrics::Metrics;
use crate::metrics::store::StoreMetrics;
use crate::read_side::ReadSide;
use crate::reload::{LoadConfig, Reloader};
use crate::terms::Terms;
use crate::tls::Tls;
use crate::{metrics, reload, request_id, routes, secrets_match, secrets_watch, supervisor, welcome};

/// After the drain, how long cut calls have to write their ends.
const SETTLE_GRACE: Duration = Duration::from_secs(10);

/// Runs the gateway until it is told to stop. `load` reads the configuration again.
///
/// # Errors
/// Where it cannot start; the text says what to do.
pub async fn serve(config: Config, load: LoadConfig) -> anyhow::Result<()> {
    let tls = Tls::open(&config.server)?;
    let store_metrics = StoreMetrics::default();
    let store = open_store(&config, store_metrics.clone()).await?;
    let events = store.head().await.context("cannot read the ledger")?;
    let (secrets, first_start) = open_secrets(&config, events.is_none())?;
    let ledger = Ledger::open(LedgerOptions {
        store: Arc::clone(&store),
        clock: Arc::new(SystemClock),
        node: config.server.node.clone(),
        accounts_max_bytes: config.server.accounts_max_bytes,
    })
    .await
    .context("cannot open the ledger")?;
    let new_secrets = secrets_match::compare(&ledger.known_secrets(), &secrets.fingerprints())?;
    ledger.node_started(new_secrets).await.context("cannot write to the ledger")?;
    let terms = Terms::of(&config, None)?;
    let metrics = Metrics::new(&store_metrics, ledger.metrics());
    let read_side = ReadSide::start(&config.server.data_dir, &ledger);
    let app = Arc::new(App {
        reloader: Reloader::new(load, config.clone()),
        terms: ArcSwap::from_pointee(terms),
        secrets: SecretsInForce::new(secrets),
        ledger,
        read_side,
        misses: ColdMisses::default(),
        lifecycle: Lifecycle::default(),
        metrics,
        config,
    });
    let reloads = reload::on_hangup(&app)?;
    let listening = listen(&app, tls.as_ref())?;
    if let Some(tls) = tls {
        tokio::spawn(tls.follow_files());
    }
    welcome::print(&app, &listening.addresses, first_start.as_ref(), events);
    let mut told = ToldToStop::listen()?;
    let watch = secrets_watch::start(&app)?;
    supervisor::ready();
    told.wait().await;
    supervisor::stopping();
    watch.abort();
    reloads.abort();
    stop(app, listening.handles, store, told).await
}

async fn open_store(config: &Config, metrics: StoreMetrics) -> anyhow::Result<Arc<dyn EventStore>> {
    let dir = config.server.data_dir.clone();
    let store = tokio::task::spawn_blocking(move || crate::store::open(&dir, &metrics)).await??;
    Ok(store)
}

/// Secrets are made only for a ledger that is new: another one was written with secrets of its own.
fn open_secrets(config: &Config, ledger_is_new: bool) -> anyhow::Result<(Secrets, Option<FirstStart>)> {
    let dir = config.server.secrets_dir();
    if ledger_is_new {
        return Ok(Secrets::open_or_create(&dir)?);
    }
    Ok((Secrets::open(&dir)?, None))
}

struct Listening {
    addresses: Addresses,
    handles: Vec<ServerHandle>,
}

/// Where the gateway listens.
pub struct Addresses {
    /// For applications.
    pub inference: SocketAddr,
    /// For managers; the same unless configured.
    pub management: SocketAddr,
    /// `http` or `https`.
    pub scheme: &'static str,
}

fn listen(app: &Arc<App>, tls: Option<&Tls>) -> anyhow::Result<Listening> {
    let server = &app.config.server;
    let bind = |address: SocketAddr| {
        let listener = TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
        let bound = listener.local_addr()?;
        anyhow::Ok((listener, bound))
    };
    let (listener, inference) = bind(server.listen)?;
    let mut handles = Vec::new();
    let management = match server.management_listen {
        None => {
            handles.push(start(app, listener, tls, server.worker_threads(), |cfg| {
                cfg.configure(routes::inference).configure(routes::management);
            })?);
            inference
        }
        // A listener and a worker of its own: a flood of calls does not delay a revoke.
        Some(address) => {
            let (second, management) = bind(address)?;
            handles.push(start(app, listener, tls, server.worker_threads(), routes::inference)?);
            handles.push(start(app, second, tls, 1, routes::management)?);
            management
        }
    };
    let scheme = if tls.is_some() { "https" } else { "http" };
    Ok(Listening { addresses: Addresses { inference, management, scheme }, handles })
}

fn start(
    app: &Arc<App>,
    listener: TcpListener,
    tls: Option<&Tls>,
    workers: usize,
    routes: fn(&mut web::ServiceConfig),
) -> anyhow::Result<ServerHandle> {
    let data = web::Data::from(Arc::clone(app));
    let server = HttpServer::new(move || {
        Web::new()
            .app_data(data.clone())
            .wrap(from_fn(request_id::assign))
            .wrap(from_fn(metrics::http::measure))
            .configure(routes)
            .default_service(web::to(crate::routes::not_found))
    })
    .workers(workers)
    .tcp_nodelay(true)
    // A client that hangs up while its provider is silent is noticed only so.
    .h1_allow_half_closed(false)
    .disable_signals()
    .shutdown_timeout(5);
    let server = match tls {
        Some(tls) => server.listen_rustls_0_23(listener, tls.config())?,
        None => server.listen(listener)?,
    };
    let server = server.run();
    let handle = server.handle();
    tokio::spawn(server);
    Ok(handle)
}

/// The signals that stop the gateway.
struct ToldToStop {
    terminate: Signal,
    interrupt: Signal,
}

impl ToldToStop {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// New calls are refused, running ones drain, then are cut and settled; nothing stays open. Being told a
/// second time ends the drain.
async fn stop(
    app: Arc<App>,
    handles: Vec<ServerHandle>,
    store: Arc<dyn EventStore>,
    mut told: ToldToStop,
) -> anyhow::Result<()> {
    info!(calls = app.ledger.running.count(), "stopping: new calls are refused, running ones drain");
    app.lifecycle.stop();
    let drain = Duration::from_secs(app.config.server.drain_secs.into());
    let drained = tokio::select! {
        () = app.ledger.running.idle() => true,
        () = tokio::time::sleep(drain) => false,
        () = told.wait() => false,
    };
    if !drained {
        warn!(calls = app.ledger.running.count(), "the drain is over: cutting what still runs");
        app.ledger.running.cut_all();
        let _ = tokio::time::timeout(SETTLE_GRACE, app.ledger.running.idle()).await;
    }
    for handle in handles {
        handle.stop(true).await;
    }
    app.ledger.write_refusals().await;
    if let Err(error) = app.ledger.node_stopped().await {
        warn!(%error, "the stop could not be written to the ledger");
    }
    app.read_side.stop().await;
    if tokio::time::timeout(SETTLE_GRACE, app.ledger.drain()).await.is_err() {
        warn!("some work did not end in time; its calls are ended at the next start");
    }
    store.close().await;
    info!("stopped");
    Ok(())
}
