//! Where a ledger is, for commands that open one themselves: a data directory, or a server. Options say the
//! same as the configuration's `[store]`, and are checked like it.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::config::{Config, Environment};

/// How a server with a ledger is reached.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "How a server is reached")]
pub struct StoreOptions {
    /// The configuration file whose `[store]` holds for what the options leave out
    #[arg(long, value_name = "FILE", env = "NEMO_CONFIG", hide_env_values = true)]
    pub config: Option<PathBuf>,
    /// The PEM file with the certificates that the server's is checked against
    #[arg(long, value_name = "FILE")]
    pub store_ca_file: Option<PathBuf>,
    /// The server's user
    #[arg(long, value_name = "NAME")]
    pub store_user: Option<String>,
    /// The environment variable that holds the user's password
    #[arg(long, value_name = "VARIABLE")]
    pub store_password_env: Option<String>,
    /// The file that holds the user's password
    #[arg(long, value_name = "FILE")]
    pub store_password_file: Option<PathBuf>,
    /// What the names of the ledger's streams begin with
    #[arg(long, value_name = "PREFIX")]
    pub stream_prefix: Option<String>,
}

impl StoreOptions {
    /// The configuration with these options over it.
    ///
    /// # Errors
    /// What is wrong with either; no value is repeated.
    pub fn over_config(&self, store: Option<&str>, data_dir: Option<&Path>) -> anyhow::Result<Config> {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let stated = [
            ("--store", "url", store.map(str::to_owned)),
            ("--store-ca-file", "ca_file", path(&self.store_ca_file)),
            ("--store-user", "user", self.store_user.clone()),
            ("--store-password-env", "password_env", self.store_password_env.clone()),
            ("--store-password-file", "password_file", path(&self.store_password_file)),
            ("--stream-prefix", "stream_prefix", self.stream_prefix.clone()),
        ];
        let mut environment = Environment::of_process();
        for (flag, key, value) in stated {
            if let Some(value) = value {
                environment = environment.with_flag(flag, "store", key, value);
            }
        }
        let mut config = Config::load(self.config.as_deref(), &environment)?;
        if let Some(dir) = data_dir {
            config.server.data_dir = dir.to_owned();
        }
        Ok(config)
    }
}
