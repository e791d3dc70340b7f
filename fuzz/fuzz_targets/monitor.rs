//! What a peer asks of monitoring, and what it tells.

#![no_main]

use stackwire_core::{Kind, Role};
use stackwire_fuzz::{How, delimited, field, run, target};
use stackwire_protocol_monitor::{Answer, MAX_DISTANCE, MAX_STATUS, Question, ask, read_question, write_answer};

fn question(variant: u8) -> Question {
    match variant % 3 {
        0 => Question::Ping(5),
        1 => Question::Network,
        _ => Question::Node,
    }
}

target!(
    |input| {
        let Some((how, bytes)) = How::split(input) else { return };
        run(how.facing(bytes, async |mut pipe| {
            if let Err(error) = read_question(&mut pipe).await {
                assert!(error.violation().is_some() || *error.kind() == Kind::Closed, "{error}");
            }
        }));
        run(how.facing(bytes, async |mut pipe| {
            let answer = match ask(&mut pipe, question(how.variant)).await {
                Ok(answer) => answer,
                Err(error) => {
                    return assert!(error.violation().is_some() || *error.kind() == Kind::Closed, "{error}");
                }
            };
            match (question(how.variant), &answer) {
                (Question::Ping(asked), Answer::Pong(told)) => assert_eq!(asked, *told),
                (Question::Network, Answer::Network(told)) => assert!(told.distance <= MAX_DISTANCE),
                (Question::Node, Answer::Node(told)) => {
                    assert!(told.status.len() <= MAX_STATUS && !told.agent.contains(char::is_control));
                }
                _ => panic!("an answer to another question"),
            }
            write_answer(&mut Vec::new(), answer).await.expect("writing into a vector");
        }))
    },
    examples: {
        let node = [field(1, b"agent/1"), vec![16, 9, 24, 0xff, 0xff, 3], field(4, b"status")].concat();
        let inputs = [(0, field(1, &[8, 5])), (1, field(2, &[8, 3, 16, 100])), (2, field(3, &node)), (2, field(3, &[]))];
        inputs.map(|(variant, bytes)| How::input(Role::Dialer, variant, &delimited(&bytes))).to_vec()
    }
);
