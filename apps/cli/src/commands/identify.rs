//! `identify ADDR`

use std::{process::ExitCode, time::Duration};

use serde_json::json;
use stackwire_node::{Error, Kind};

use super::session;
use crate::{
    args::Tool,
    output::{Output, plain},
};

/// How long the answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

pub async fn run(tool: Tool, out: &Output) -> ExitCode {
    session::with(&tool, stackwire_protocol_identify::ID, out, |session| async move {
        let asking = async {
            let mut stream = session.open().await?;
            stackwire_protocol_identify::identify(&mut stream).await
        };
        let info = session.env().timeout(PATIENCE, "waiting for identify", asking).await?;
        out.text(format!("agent     {}\nversion   {}", plain(&info.agent), plain(&info.protocol_version)));
        if let Some(observed) = &info.observed {
            out.text(format!("sees us   {}", plain(observed)));
        }
        for address in &info.listen {
            out.text(format!("listens   {}{}", plain(address), if info.signed { " (signed)" } else { "" }));
        }
        for protocol in &info.protocols {
            out.text(format!("serves    {}", plain(protocol)));
        }
        let info = serde_json::to_value(&info).map_err(|e| Error::new(Kind::Internal, "writing JSON").caused_by(e))?;
        Ok(json!({ "info": info }))
    })
    .await
}
