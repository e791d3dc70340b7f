//! The wire: one question and its answer on a stream.

use std::time::Duration;

use bytes::Bytes;
use stackwire_core::{Error, Result, Violation, printable, read_delimited, write_delimited};
use tokio::io::{AsyncBufRead, AsyncWrite, AsyncWriteExt};

use crate::{
    model::{Answer, MAX_DISTANCE, MAX_STATUS, NetworkInfo, NodeInfo, Question},
    proto::{self, answer::Tells, request::Asks},
};

/// The most bytes of a question.
const MAX_QUESTION: usize = 256;
/// The most bytes of an answer.
const MAX_ANSWER: usize = 100 * 1024;
/// The most bytes of an agent's name, and characters of it that are shown.
const MAX_AGENT: usize = 256;

/// Asks on a stream that is open, and ends our direction of it.
///
/// Fails with `PeerMisbehaved` where the answer is too large, malformed, or one to another question; `Closed` where there is
/// none. Has no time limit. Not cancel-safe: after giving up, drop the stream.
pub async fn ask(stream: &mut (impl AsyncBufRead + AsyncWrite + Unpin), question: Question) -> Result<Answer> {
    let asks = match question {
        Question::Ping(number) => Asks::Ping(proto::Ping { number }),
        Question::Network => Asks::Network(proto::Nothing {}),
        Question::Node => Asks::Node(proto::Nothing {}),
    };
    write_delimited(stream, &proto::Request { asks: Some(asks) }).await?;
    stream.shutdown().await.map_err(|e| Error::io("ending a question", e))?;
    let Some(answer) = read_delimited::<proto::Answer>(stream, MAX_ANSWER).await? else {
        return Err(Error::closed("the stream ended without an answer"));
    };
    let answer = match answer.tells {
        Some(Tells::Pong(ping)) => Answer::Pong(ping.number),
        Some(Tells::Network(told)) => Answer::Network(network(&told)?),
        Some(Tells::Node(told)) => Answer::Node(node(told)?),
        None => return Err(Error::misbehaved("an answer that tells nothing")),
    };
    match (question, &answer) {
        (Question::Ping(asked), Answer::Pong(told)) if asked == *told => Ok(answer),
        (Question::Network, Answer::Network(_)) | (Question::Node, Answer::Node(_)) => Ok(answer),
        _ => Err(Error::violated(Violation::WrongAnswer, "an answer to another question")),
    }
}

/// Reads the question of a stream that a peer opened.
///
/// Fails with `PeerMisbehaved` where it is too large or malformed, `Closed` where there is none. Not cancel-safe.
pub async fn read_question(stream: &mut (impl AsyncBufRead + Unpin)) -> Result<Question> {
    let Some(request) = read_delimited::<proto::Request>(stream, MAX_QUESTION).await? else {
        return Err(Error::closed("the stream ended without a question"));
    };
    match request.asks {
        Some(Asks::Ping(ping)) => Ok(Question::Ping(ping.number)),
        Some(Asks::Network(_)) => Ok(Question::Network),
        Some(Asks::Node(_)) => Ok(Question::Node),
        None => Err(Error::misbehaved("a question that asks nothing")),
    }
}

/// Answers, and ends our direction of the stream. Not cancel-safe.
pub async fn write_answer(stream: &mut (impl AsyncWrite + Unpin), answer: Answer) -> Result<()> {
    let tells = match answer {
        Answer::Pong(number) => Tells::Pong(proto::Ping { number }),
        Answer::Network(told) => {
            Tells::Network(proto::Network { connected_peers: told.connected_peers, distance: told.distance })
        }
        Answer::Node(told) => {
            let agent = &told.agent.as_bytes()[..told.agent.floor_char_boundary(MAX_AGENT)];
            Tells::Node(proto::Node {
                agent: Bytes::copy_from_slice(agent),
                uptime_ms: millis(told.uptime),
                unix_time_ms: millis(told.unix_time),
                status: told.status,
            })
        }
    };
    write_delimited(stream, &proto::Answer { tells: Some(tells) }).await?;
    stream.shutdown().await.map_err(|e| Error::io("ending an answer", e))
}

fn network(told: &proto::Network) -> Result<NetworkInfo> {
    if told.distance > MAX_DISTANCE {
        let error = Error::violated(Violation::TooLarge, "a distance over its limit");
        return Err(error.with("distance", told.distance).with("limit", MAX_DISTANCE));
    }
    Ok(NetworkInfo { connected_peers: told.connected_peers, distance: told.distance })
}

fn node(told: proto::Node) -> Result<NodeInfo> {
    for (what, bytes, limit) in [("agent", told.agent.len(), MAX_AGENT), ("status", told.status.len(), MAX_STATUS)] {
        if bytes > limit {
            let error = Error::violated(Violation::TooLarge, "a part of an answer over its limit");
            return Err(error.with("part", what).with("bytes", bytes).with("limit", limit));
        }
    }
    let agent = String::from_utf8_lossy(&told.agent);
    Ok(NodeInfo {
        agent: printable(&agent).at_most(MAX_AGENT).to_string(),
        uptime: Duration::from_millis(told.uptime_ms),
        unix_time: Duration::from_millis(told.unix_time_ms),
        status: told.status,
    })
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use stackwire_conformance::pipes;
    use stackwire_core::Kind;
    use tokio::io::AsyncReadExt;

    use super::*;

    fn run<T>(test: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime starts").block_on(test)
    }

    async fn told(question: Question, bytes: &[u8]) -> Result<Answer> {
        let (mut ours, mut theirs) = pipes::pair_with_capacity(256 * 1024);
        theirs.write_all(bytes).await?;
        theirs.shutdown().await?;
        ask(&mut ours, question).await
    }

    async fn asked(bytes: &[u8]) -> Result<Question> {
        let (mut ours, mut theirs) = pipes::pair();
        theirs.write_all(bytes).await?;
        theirs.shutdown().await?;
        read_question(&mut ours).await
    }

    /// The bytes of an answer.
    async fn bytes_of(answer: Answer) -> Vec<u8> {
        let (mut ours, mut theirs) = pipes::pair_with_capacity(256 * 1024);
        write_answer(&mut ours, answer).await.unwrap();
        let mut bytes = Vec::new();
        theirs.read_to_end(&mut bytes).await.unwrap();
        bytes
    }

    fn violation(result: Result<Answer>) -> Violation {
        match result.unwrap_err().kind() {
            Kind::PeerMisbehaved(violation) => *violation,
            other => panic!("{other}"),
        }
    }

    fn node_with(agent: &str, status: usize) -> Answer {
        let status = vec![7; status].into();
        let (uptime, unix_time) = (Duration::from_secs(7), Duration::from_secs(9));
        Answer::Node(NodeInfo { agent: agent.into(), uptime, unix_time, status })
    }

    #[test]
    fn the_bytes_are_as_documented() {
        run(async {
            assert_eq!(asked(&[4, 0x0a, 2, 8, 5]).await.unwrap(), Question::Ping(5));
            assert_eq!(asked(&[2, 0x12, 0]).await.unwrap(), Question::Network);
            assert_eq!(asked(&[2, 0x1a, 0]).await.unwrap(), Question::Node);
            assert_eq!(bytes_of(Answer::Pong(5)).await, [4, 0x0a, 2, 8, 5]);
            let network = NetworkInfo { connected_peers: 3, distance: 2 };
            assert_eq!(bytes_of(Answer::Network(network)).await, [6, 0x12, 4, 8, 3, 16, 2]);
        });
    }

    #[test]
    fn answers_to_other_questions_and_answers_over_limits_are_the_peers_fault() {
        run(async {
            let pong = bytes_of(Answer::Pong(5)).await;
            assert_eq!(told(Question::Ping(5), &pong).await.unwrap(), Answer::Pong(5));
            assert_eq!(violation(told(Question::Ping(6), &pong).await), Violation::WrongAnswer);
            assert_eq!(violation(told(Question::Node, &pong).await), Violation::WrongAnswer);
            assert_eq!(violation(told(Question::Node, &[0]).await), Violation::Malformed);
            assert_eq!(violation(told(Question::Ping(5), &pong[..3]).await), Violation::Truncated);
            assert_eq!(told(Question::Ping(5), &[]).await.unwrap_err().kind(), &Kind::Closed);
            let far = bytes_of(Answer::Network(NetworkInfo { connected_peers: 1, distance: 101 })).await;
            assert_eq!(violation(told(Question::Network, &far).await), Violation::TooLarge);

            let fits = node_with("agent", MAX_STATUS);
            assert_eq!(told(Question::Node, &bytes_of(fits.clone()).await).await.unwrap(), fits);
            for too_much in [MAX_STATUS + 1, 101 * 1024] {
                let bytes = bytes_of(node_with("agent", too_much)).await;
                assert_eq!(violation(told(Question::Node, &bytes).await), Violation::TooLarge);
            }
            let odd = bytes_of(node_with(&"\u{202e}evil".repeat(100), 0)).await;
            let Answer::Node(info) = told(Question::Node, &odd).await.unwrap() else { panic!("another answer") };
            assert!(!info.agent.contains('\u{202e}'), "{}", info.agent);
        });
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300), which in 0..3) {
            let question = [Question::Ping(1), Question::Network, Question::Node][which as usize];
            run(async {
                let _ = asked(&bytes).await;
                if let Err(error) = told(question, &bytes).await {
                    assert!(matches!(error.kind(), Kind::PeerMisbehaved(_) | Kind::Closed), "{error}");
                }
            });
        }

        #[test]
        fn what_is_told_is_understood(connected_peers: u32, distance in 0..=MAX_DISTANCE, uptime: u64, clock: u64, status: Vec<u8>) {
            run(async {
                let network = Answer::Network(NetworkInfo { connected_peers, distance });
                assert_eq!(told(Question::Network, &bytes_of(network.clone()).await).await.unwrap(), network);
                let node = Answer::Node(NodeInfo {
                    agent: "agent/1".into(),
                    uptime: Duration::from_millis(uptime),
                    unix_time: Duration::from_millis(clock),
                    status: status.into(),
                });
                assert_eq!(told(Question::Node, &bytes_of(node.clone()).await).await.unwrap(), node);
            });
        }
    }
}
