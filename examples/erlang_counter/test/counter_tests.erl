-module(counter_tests).

-include_lib("eunit/include/eunit.hrl").

goes_on_counting_when_it_was_killed_test() ->
    {ok, _} = application:ensure_all_started(erlang_counter),
    ?assertEqual([1, 2, 3], [counter:count(visits, home) || _ <- lists:seq(1, 3)]),
    Counter = whereis(visits),
    exit(Counter, kill),
    await_next(Counter),
    ?assertEqual(4, counter:count(visits, home)),
    ?assertEqual({error, already_owned}, 'Elixir.Blanket':claim_table({counter, visits})),
    ok = application:stop(erlang_counter).

await_next(Counter) ->
    case whereis(visits) of
        Next when Next =:= undefined; Next =:= Counter -> await_next(Counter);
        Next -> Next
    end.
