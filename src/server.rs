//! `nemo serve`: puts the parts together, listens, and stops in good order.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::middleware::from_fn;
use actix_web::{App as Web, HttpServer, web};
use anyhow::Context as _;
use arc_swap::ArcSwap;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use crate::app::{App, Lifecycle};
use crate::auth::in_force::SecretsInForce;
use crate::auth::misses::ColdMisses;
use crate::auth::secrets::{FirstStart, Secrets};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::demo::Demo;
use crate::ledger::{Ledger, LedgerOptions};
use crate::metrics::Metrics;
use crate::metrics::store::StoreMetrics;
use crate::people::People;
use crate::proxy::breaker::Breakers;
use crate::proxy::rests::Rests;
use crate::read_side::ReadSide;
use crate::reload::{LoadConfig, Reloader};
use crate::snapshots::Shelf;
use crate::store::{self, Kind, Opened};
use crate::terms::Terms;
use crate::tls::Tls;
use crate::webhooks::Webhooks;
use crate::{metrics, reload, request_id, routes, secrets_watch, start, supervisor, welcome};

/// After the drain, how long cut calls have to write their ends.
const SETTLE_GRACE: Duration = Duration::from_secs(10);

/// What is written down last may take so long; then the node stops without it.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Runs the gateway until it is told to stop; for a demo, with its words and its traffic. `load` reads the
/// configuration again.
///
/// # Errors
/// Where it cannot start; the text says what to do.
pub async fn serve(config: Config, load: LoadConfig, demo: Option<Demo>) -> anyhow::Result<()> {
    // Before anything that takes time: unheard, it ends the process. What arrives meanwhile is done afterwards.
    let hangups = signal(SignalKind::hangup())?;
    let tls = Tls::open(&config.server)?;
    let store_metrics = StoreMetrics::default();
    let store = store::open(&config, store_metrics.clone()).await?;
    // Until here these just end the process: checking a large ledger may take minutes.
    let mut told = ToldToStop::listen()?;
    let (secrets, first_start) = open_secrets(&config, &store).await?;
    let app = put_together(config, load, &store, &store_metrics, secrets)?;
    let reloads = reload::on_hangup(&app, hangups);
    match store.place.kind {
        Kind::Embedded => {
            let before = store.events.head().await.context("cannot read the ledger")?;
            start::now(&app).await?;
            let listening = listen_for_good(&app, tls)?;
            let traffic = match demo {
                Some(demo) => Some(demo.open(&app, &listening.addresses).await?),
                None => {
                    welcome::print(&app, &listening.addresses, first_start.as_ref(), before);
                    None
                }
            };
            welcome::print_first_link(&app, &listening.addresses);
            serve_until_told(&app, &mut told).await?;
            if let Some(traffic) = traffic {
                traffic.stop().await;
            }
            reloads.abort();
            stop(app, listening.handles, store, told).await
        }
        Kind::EventStoreDb => {
            let listening = listen_for_good(&app, tls)?;
            welcome::print_waiting(&app, &listening.addresses);
            let started = tokio::select! {
                biased;
                () = told.wait() => Ok(()),
                started = start::once_reachable(Arc::clone(&app)) => started,
            };
            if started.is_ok() && app.lifecycle.has_started() {
                welcome::print_first_link(&app, &listening.addresses);
                serve_until_told(&app, &mut told).await?;
            }
            supervisor::stopping();
            reloads.abort();
            stop(app, listening.handles, store, told).await.and(started)
        }
    }
}

/// Listens, follows renewed certificates, and tells the supervisor. A node whose server is away is up as
/// well: ending it would not bring the server back.
fn listen_for_good(app: &Arc<App>, tls: Option<Tls>) -> anyhow::Result<Listening> {
    let listening = listen(app, tls.as_ref())?;
    if let Some(tls) = tls {
        tokio::spawn(tls.follow_files());
    }
    supervisor::ready();
    Ok(listening)
}

/// The node has started: it follows its secrets, and serves.
async fn serve_until_told(app: &Arc<App>, told: &mut ToldToStop) -> anyhow::Result<()> {
    let watch = secrets_watch::start(app)?;
    told.wait().await;
    supervisor::stopping();
    watch.abort();
    Ok(())
}

fn put_together(
    config: Config,
    load: LoadConfig,
    store: &Opened,
    store_metrics: &StoreMetrics,
    secrets: Secrets,
) -> anyhow::Result<Arc<App>> {
    let ledger = Ledger::unread(LedgerOptions {
        store: Arc::clone(&store.events),
        clock: Arc::new(SystemClock),
        node: config.server.node.clone(),
        accounts_max_bytes: config.server.accounts_max_bytes,
        snapshots: Arc::new(Shelf::new(&config.server.data_dir)),
    });
    let terms = Terms::of(&config, None)?;
    let people = People::new(&config.server);
    let webhooks = Webhooks::new(&config)?;
    Ok(Arc::new(App {
        reloader: Reloader::new(load, config.clone()),
        terms: ArcSwap::from_pointee(terms),
        secrets: SecretsInForce::new(secrets),
        place: store.place.clone(),
        metrics: Metrics::new(store_metrics, ledger.metrics(), &people.metrics, &webhooks.metrics),
        people,
        ledger,
        read_side: ReadSide::new(&config.server.data_dir),
        webhooks,
        misses: ColdMisses::default(),
        breakers: Breakers::default(),
        rests: Rests::default(),
        lifecycle: Lifecycle::default(),
        config,
    }))
}

/// Secrets are made only for a ledger that is new and this node's own: another one was written with secrets
/// of its own, and those of a server are shared by its nodes.
async fn open_secrets(config: &Config, store: &Opened) -> anyhow::Result<(Secrets, Option<FirstStart>)> {
    let dir = config.server.secrets_dir();
    if store.place.kind == Kind::EventStoreDb {
        return Ok((start::shared_secrets(Secrets::open(&dir))?, None));
    }
    let head = store.events.head().await.context("cannot read the ledger")?;
    if head.is_none() {
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
            handles.push(start(app, listener, tls, server.worker_threads(), routes::everything)?);
            inference
        }
        // A listener and a worker of its own: a flood of calls does not delay a revoke.
        Some(address) => {
            let (second, management) = bind(address)?;
            handles.push(start(app, listener, tls, server.worker_threads(), routes::inference_alone)?);
            handles.push(start(app, second, tls, 1, routes::management_alone)?);
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
/// second time ends the drain. Where the store is away every wait has an end, and what is left for the next
/// start is told.
async fn stop(
    app: Arc<App>,
    handles: Vec<ServerHandle>,
    store: Opened,
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
    if app.lifecycle.has_started() && tokio::time::timeout(LAST_WORDS, last_words(&app)).await.is_err() {
        warn!("counts of refusals, and that the node stopped, could not be written to the ledger");
    }
    app.webhooks.stop().await;
    app.read_side.stop().await;
    if tokio::time::timeout(SETTLE_GRACE, app.ledger.drain()).await.is_err() {
        let calls = app.ledger.unwritten_ends();
        warn!(calls, "ends of calls could not be written; the next start ends them, at their whole holds");
    }
    if tokio::time::timeout(SETTLE_GRACE, store.events.close()).await.is_err() {
        warn!("the store did not close in time");
    }
    info!("stopped");
    Ok(())
}

async fn last_words(app: &App) {
    app.ledger.write_refusals().await;
    if let Err(error) = app.ledger.node_stopped().await {
        warn!(%error, "the stop could not be written to the ledger");
    }
}
