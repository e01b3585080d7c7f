//! The program: reads the command line and hands over.

use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use nemo::cli::{self, Cli, Command, LedgerCommand, ServeArgs, SimulateProviderArgs};
use nemo::config::{Config, ConfigError, Environment};
use nemo::demo::{Demo, Liveliness};
use nemo::traces::Traces;
use nemo::{
    backup, demo, doctor, init, ledger_copy, ledger_status, providers, rebuild, server, telemetry, verify,
};
use tracing::level_filters::LevelFilter;

fn main() -> ExitCode {
    #[cfg(feature = "failpoints")]
    nemo::failpoint::arm_from_environment();
    let cli = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("nemo: cannot start its threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(run(cli.command))
}

async fn run(command: Command) -> ExitCode {
    match command {
        Command::Serve(args) => cli::finish(serve(args).await),
        Command::Init(args) => cli::finish(init::run(&args).map_err(anyhow::Error::from)),
        Command::Doctor(args) => cli::finish(doctor::run(args).await.map_err(anyhow::Error::from)),
        Command::Remote(command) => cli::run(command).await,
        Command::Ledger(args) => match args.command {
            LedgerCommand::Verify(args) => cli::finish(verify::run(&args).await),
            LedgerCommand::Copy(args) => cli::finish(ledger_copy::run(&args).await),
            LedgerCommand::Status(args) => cli::finish(ledger_status::run(args).await),
            LedgerCommand::Backup(args) => cli::finish(backup::make(args).await),
            LedgerCommand::Restore(args) => cli::finish(backup::restore(args).await),
            LedgerCommand::Rebuild(args) => cli::finish(rebuild::run(&args).await),
            LedgerCommand::AcceptEnd(args) => cli::finish(backup::accept_end(&args).await),
        },
        Command::SimulateProvider(args) => cli::finish(simulate(args).await),
        Command::Completions(args) => cli::finish(cli::completions::run(&args).map_err(anyhow::Error::from)),
    }
}

async fn serve(args: ServeArgs) -> anyhow::Result<()> {
    if args.demo {
        return serve_demo(args).await;
    }
    let config = load(&args)?;
    demo::refuse_demo(&config.server.data_dir)?;
    let traces = Traces::open(&config.telemetry)?;
    telemetry::init(config.server.log_format, LevelFilter::INFO, &traces)?;
    let served = server::serve(config, Arc::new(move || load(&args)), None).await;
    traces.finish().await;
    served
}

/// Its log is quiet: a line for each call of its traffic would hide what it says to people. Its configuration
/// is made once; reading it again changes nothing.
async fn serve_demo(args: ServeArgs) -> anyhow::Result<()> {
    let config = demo::set_stage(&environment(&args), args.data_dir)?;
    let traces = Traces::open(&config.telemetry)?;
    telemetry::init(config.server.log_format, LevelFilter::WARN, &traces)?;
    let liveliness = if args.quiet { Liveliness::Quiet } else { Liveliness::Traffic };
    let demo = Demo::prepare(&config, liveliness).await?;
    let again = config.clone();
    let served = server::serve(config, Arc::new(move || Ok(again.clone())), Some(demo)).await;
    traces.finish().await;
    served
}

/// Reads the configuration, at the start and whenever it is to be read again.
fn load(args: &ServeArgs) -> Result<Config, ConfigError> {
    let mut config = Config::load(args.config.as_deref(), &environment(args))?;
    if let Some(data_dir) = &args.data_dir {
        config.server.data_dir.clone_from(data_dir);
    }
    Ok(config)
}

/// What the environment says, and what the command line says over it.
fn environment(args: &ServeArgs) -> Environment {
    let mut environment = Environment::of_process();
    if let Some(listen) = args.listen {
        environment = environment.with_flag("--listen", "server", "listen", listen.to_string());
    }
    if let Some(url) = &args.store {
        environment = environment.with_flag("--store", "store", "url", url.clone());
    }
    environment
}

async fn simulate(args: SimulateProviderArgs) -> anyhow::Result<()> {
    let listener =
        TcpListener::bind(args.listen).with_context(|| format!("cannot listen on {}", args.listen))?;
    println!("The simulated provider is listening on http://{}", listener.local_addr()?);
    providers::simulated::serve(listener)?.await?;
    Ok(())
}
