//! The local gateway behind TLS.

use std::sync::Arc;

use hookmyapp::Config;
use rustls::ServerConfig;

use crate::support::gateway::{Gateway, Received};
use crate::support::tls::TlsServer;

pub struct SecureGateway {
    pub gateway: Arc<Gateway>,
    pub front: TlsServer,
}

impl SecureGateway {
    pub fn start(config: Arc<ServerConfig>) -> SecureGateway {
        let gateway = Arc::new(Gateway::start().unwrap());
        let served = Arc::clone(&gateway);
        let front = TlsServer::start(config, move |stream| served.serve(stream));
        SecureGateway { gateway, front }
    }

    /// What leads a client to `host`, on the port where TLS is spoken.
    pub fn config(&self, host: &str) -> Config {
        let path = self.gateway.base_url().replace(&format!("http://{}", self.gateway.address()), "");
        let base_url = format!("https://{host}:{}{path}", self.front.port());
        Config::new(&base_url, self.gateway.account_id(), self.gateway.token())
    }

    /// Every request, after the connections have ended.
    pub fn received(self) -> Vec<Arc<Received>> {
        self.front.stop();
        self.gateway.received()
    }
}
