defmodule Blanket.LinearizabilityTest do
  # Processes work on a few keys all at once. Whatever each of them is answered must be explained by
  # calls made one after the other.
  #
  # LINEARIZABILITY_ROUNDS says how many histories are recorded of each kind; thousands need a longer --timeout.
  use ExUnit.Case, async: false

  alias Blanket.{Linearizability, Table}

  @rounds String.to_integer(System.get_env("LINEARIZABILITY_ROUNDS", "200"))
  @keys 1..3
  # A victim lives for as long as it takes to count to at most this.
  @patience 100_000
  # Never looked at: they make lists long.
  @others for key <- 1001..3000, do: {key, key}
  # As many as are still inserted in one go.
  @few_others Enum.take(@others, 14)

  describe "the checker" do
    # One process a line: {call, answer, began, ended}.
    defp history(processes) do
      for calls <- processes do
        for {call, answer, began, ended} <- calls,
            do: %{call: call, answer: answer, began: began, ended: ended}
      end
    end

    defp linearizable?(processes),
      do: Linearizability.check(history(processes), %{}, &model/2) == :ok

    test "accepts calls one after the other" do
      assert linearizable?([
               [{{:insert, [{1, :a}]}, true, 1, 2}, {{:lookup, 1}, [{1, :a}], 3, 4}],
               [{{:delete, 1}, true, 5, 6}, {{:lookup, 1}, [], 7, 8}]
             ])
    end

    test "lets concurrent calls come in any order" do
      for seen <- [[], [{1, :a}]] do
        assert linearizable?([
                 [{{:insert, [{1, :a}]}, true, 1, 4}],
                 [{{:lookup, 1}, seen, 2, 3}]
               ])
      end
    end

    test "goes back when its first choice fits no longer" do
      assert linearizable?([
               [{{:insert, [{1, :a}]}, true, 1, 9}],
               [{{:insert, [{1, :b}]}, true, 1, 9}],
               [{{:lookup, 1}, [{1, :b}], 2, 3}, {{:lookup, 1}, [{1, :a}], 4, 5}]
             ])
    end

    test "rejects what was not yet written, or is overwritten" do
      refute linearizable?([
               [{{:insert, [{1, :a}]}, true, 3, 4}],
               [{{:lookup, 1}, [{1, :a}], 1, 2}]
             ])

      refute linearizable?([
               [{{:insert, [{1, :a}]}, true, 1, 2}, {{:insert, [{1, :b}]}, true, 3, 4}],
               [{{:lookup, 1}, [{1, :a}], 5, 6}]
             ])
    end

    test "rejects a value that comes and goes" do
      refute linearizable?([
               [{{:insert, [{1, :a}]}, true, 1, 9}],
               [{{:lookup, 1}, [{1, :a}], 2, 3}, {{:lookup, 1}, [], 4, 5}]
             ])
    end

    test "rejects two readers that see two writes in different orders" do
      refute linearizable?([
               [{{:insert, [{1, :a}]}, true, 1, 9}],
               [{{:insert, [{2, :b}]}, true, 1, 9}],
               [{{:lookup, 1}, [{1, :a}], 2, 3}, {{:lookup, 2}, [], 4, 5}],
               [{{:lookup, 2}, [{2, :b}], 2, 3}, {{:lookup, 1}, [], 4, 5}]
             ])
    end

    test "rejects a snapshot of two instants" do
      inserts = [{{:insert, [{1, :a}]}, true, 1, 2}, {{:insert, [{2, :b}]}, true, 3, 8}]
      assert linearizable?([inserts, [{:snapshot, [{1, :a}, {2, :b}], 4, 5}]])
      refute linearizable?([inserts, [{:snapshot, [{2, :b}], 4, 5}]])

      refute linearizable?([
               inserts,
               [{:snapshot, [{1, :a}, {2, :b}], 4, 5}, {{:lookup, 2}, [], 6, 7}]
             ])
    end

    test "rejects half a list" do
      refute linearizable?([
               [{{:insert, [{1, :a}, {2, :a}]}, true, 1, 9}],
               [{{:lookup, 1}, [{1, :a}], 2, 3}, {{:lookup, 2}, [], 4, 5}]
             ])
    end

    test "rejects a lost update, an object taken twice and a swap that two won" do
      inserted = {{:insert, [{1, 0}]}, true, 1, 2}

      refute linearizable?([
               [inserted, {{:update_counter, 1, 1}, 1, 3, 6}],
               [{{:update_counter, 1, 1}, 1, 4, 5}]
             ])

      refute linearizable?([
               [inserted, {{:take, 1}, [{1, 0}], 3, 6}],
               [{{:take, 1}, [{1, 0}], 4, 5}]
             ])

      refute linearizable?([
               [inserted, {{:select_replace, 1, 0, 7}, 1, 3, 6}],
               [{{:select_replace, 1, 0, 8}, 1, 4, 5}]
             ])
    end

    test "lets a call that never returned happen, or not, but not before it began" do
      killed = {{:insert, [{1, :a}, {2, :a}]}, nil, 3, :never}

      assert linearizable?([[killed], [{{:lookup, 1}, [], 4, 5}, {{:lookup, 1}, [{1, :a}], 6, 7}]])

      assert linearizable?([[killed], [{{:lookup, 1}, [], 4, 5}]])
      refute linearizable?([[killed], [{{:lookup, 1}, [{1, :a}], 1, 2}]])

      refute linearizable?([
               [killed],
               [{{:lookup, 1}, [{1, :a}], 4, 5}, {{:lookup, 2}, [], 6, 7}]
             ])
    end

    test "tells how far it came" do
      history =
        history([
          [
            {{:insert, [{1, :a}]}, true, 1, 2},
            {{:lookup, 1}, [], 3, 4},
            {{:delete, 1}, true, 5, 6}
          ]
        ])

      assert {:error, %{state: %{1 => :a}, next: [%{call: {:lookup, 1}}]}} =
               Linearizability.check(history, %{}, &model/2)
    end
  end

  for type <- [:set, :ordered_set] do
    describe "histories of a #{type}" do
      test "of processes that all live" do
        check_rounds(unquote(type), fn table ->
          record(table, for(_ <- 1..4, do: calls(150, :short)))
        end)
      end

      test "with long lists, and processes killed while they insert them" do
        check_rounds(unquote(type), fn table ->
          victims = for _ <- 1..2, do: List.duplicate(insert_of(:long), 30)
          record(table, for(_ <- 1..2, do: calls(30, :long)), victims)
        end)
      end
    end
  end

  test "a history in which one answer was changed is rejected" do
    for type <- [:set, :ordered_set] do
      table = Table.new(:table, [type, :public])
      history = record(table, for(_ <- 1..4, do: calls(150, :short)))
      assert Linearizability.check(history, %{}, &model/2) == :ok
      process = Enum.find_index(history, fn events -> Enum.any?(events, &lookup?/1) end)
      at = history |> Enum.at(process) |> Enum.find_index(&lookup?/1)
      never_written = [{1, :never_written}]
      changed = put_in(history, [Access.at(process), Access.at(at), :answer], never_written)
      assert {:error, _} = Linearizability.check(changed, %{}, &model/2)
    end
  end

  defp lookup?(event), do: match?({:lookup, _}, event.call)

  ## What a table is

  # The state is a map of keys to values.
  defp model({:insert, objects}, state), do: {true, write(state, objects)}

  defp model({:insert_among_others, objects}, state), do: model({:insert, objects}, state)
  defp model({:insert_among_few, objects}, state), do: model({:insert, objects}, state)

  defp model({:insert_new, objects}, state) do
    if Enum.any?(objects, fn {key, _} -> Map.has_key?(state, key) end),
      do: {false, state},
      else: {true, write(state, objects)}
  end

  defp model({:lookup, key}, state), do: {objects(state, key), state}
  defp model(:snapshot, state), do: {Enum.flat_map(@keys, &objects(state, &1)), state}
  defp model({:member, key}, state), do: {Map.has_key?(state, key), state}
  defp model({:delete, key}, state), do: {true, Map.delete(state, key)}
  defp model({:take, key}, state), do: {objects(state, key), Map.delete(state, key)}
  defp model(:delete_all_objects, _state), do: {true, %{}}

  defp model({:update_counter, key, increment}, state) do
    count = Map.get(state, key, 0) + increment
    {count, Map.put(state, key, count)}
  end

  defp model({:select_replace, key, old, new}, state) do
    case state do
      %{^key => ^old} -> {1, %{state | key => new}}
      _ -> {0, state}
    end
  end

  defp write(state, objects) do
    Enum.into(objects, state)
  end

  defp objects(state, key) do
    case state do
      %{^key => value} -> [{key, value}]
      _ -> []
    end
  end

  defp perform(table, {:insert, [object]}), do: Table.insert(table, object)
  defp perform(table, {:insert, objects}), do: Table.insert(table, objects)

  defp perform(table, {:insert_among_others, objects}),
    do: Table.insert(table, @others ++ objects)

  defp perform(table, {:insert_among_few, [first, second, third]}),
    do: Table.insert(table, [first] ++ @few_others ++ [second] ++ @few_others ++ [third])

  defp perform(table, {:insert_new, [object]}), do: Table.insert_new(table, object)
  defp perform(table, {:insert_new, objects}), do: Table.insert_new(table, objects)
  defp perform(table, {:lookup, key}), do: Table.lookup(table, key)
  defp perform(table, {:member, key}), do: Table.member(table, key)
  defp perform(table, {:delete, key}), do: Table.delete(table, key)
  defp perform(table, {:take, key}), do: Table.take(table, key)
  defp perform(table, :delete_all_objects), do: Table.delete_all_objects(table)

  defp perform(table, {:update_counter, key, increment}),
    do: Table.update_counter(table, key, increment, {key, 0})

  defp perform(table, {:select_replace, key, old, new}),
    do: Table.select_replace(table, [{{key, old}, [], [{{key, new}}]}])

  ## Calls

  defp calls(count, lists), do: for(_ <- 1..count, do: call(lists))

  defp call(lists) do
    case :rand.uniform(18) do
      n when n <= 2 -> {:insert, [object()]}
      n when n <= 4 -> insert_of(lists)
      5 -> {:insert_new, [object()]}
      6 -> {:insert_new, for(key <- Enum.take_random(@keys, 2), do: {key, value()})}
      n when n <= 9 -> {:lookup, key()}
      10 -> {:member, key()}
      11 -> {:delete, key()}
      12 -> {:take, key()}
      13 -> if(:rand.uniform(4) == 1, do: :delete_all_objects, else: {:lookup, key()})
      14 -> {:select_replace, key(), value(), value()}
      n when n in [15, 16] -> :snapshot
      _ -> {:update_counter, key(), 1}
    end
  end

  defp insert_of(:short), do: {Enum.random([:insert, :insert_among_few]), objects()}
  defp insert_of(:long), do: {:insert_among_others, objects()}

  defp objects, do: for(key <- @keys, do: {key, value()})
  defp object, do: {key(), value()}
  defp key, do: Enum.random(@keys)
  # Few values, so that swaps succeed.
  defp value, do: :rand.uniform(5) * 100

  ## Recording

  # Each of `processes` is a list of calls. Of the victims, each is killed at some moment. The VM
  # would have short processes run on one scheduler, one after the other.
  defp record(table, processes, victims \\ []) do
    parent = self()
    ready = :atomics.new(1, [])

    pids =
      for {calls, number} <- Enum.with_index(processes ++ victims) do
        :erlang.spawn_opt(
          fn ->
            await_all(ready, length(processes ++ victims))
            Enum.each(calls, &perform_recorded(table, &1, parent))
            send(parent, {:finished, self()})
            receive do: (:exit -> :ok)
          end,
          [:link, scheduler: rem(number, System.schedulers_online()) + 1]
        )
      end

    {workers, victims} = Enum.split(pids, length(processes))
    await_count(ready, length(pids))
    for pid <- victims, do: kill(pid)
    for pid <- workers, do: receive(do: ({:finished, ^pid} -> :ok))
    for pid <- workers, do: kill(pid)
    for pid <- pids, do: events(pid)
  end

  # Waits busily: a scheduler that has to wake up first comes too late.
  defp await_all(ready, count) do
    :atomics.add(ready, 1, 1)
    await_count(ready, count)
  end

  defp await_count(ready, count) do
    unless :atomics.get(ready, 1) == count do
      :erlang.yield()
      await_count(ready, count)
    end
  end

  # A process does nothing between its calls but send what happened.
  defp perform_recorded(table, call, parent) do
    send(parent, {:began, self(), call, now()})
    {answer, ended} = perform_timed(table, call)
    send(parent, {:ended, self(), answer, ended})
    if :rand.uniform(3) == 1, do: :erlang.yield()
  end

  # What is read from a snapshot later on is of the time when it was taken.
  defp perform_timed(table, :snapshot) do
    {:ok, snapshot} = Table.snapshot(table)
    ended = now()

    answer =
      Enum.flat_map(@keys, fn key ->
        :erlang.yield()
        Table.lookup(snapshot, key)
      end)

    Table.release(snapshot)
    {answer, ended}
  end

  defp perform_timed(table, call), do: {perform(table, call), now()}

  defp kill(pid) do
    monitor = Process.monitor(pid)
    for _ <- 1..:rand.uniform(@patience), do: :ok
    Process.unlink(pid)
    Process.exit(pid, :kill)
    receive do: ({:DOWN, ^monitor, _, _, _} -> :ok)
  end

  defp events(pid) do
    receive do
      {:began, ^pid, call, began} ->
        receive do
          {:ended, ^pid, answer, ended} ->
            [%{call: call, answer: answer, began: began, ended: ended} | events(pid)]
        after
          0 -> [%{call: call, answer: nil, began: began, ended: :never}]
        end
    after
      0 ->
        receive do
          {:finished, ^pid} -> []
        after
          0 -> []
        end
    end
  end

  defp now, do: System.monotonic_time()

  # Without calls at the same time there would be nothing to check; a busy machine has few.
  defp check_rounds(type, round) do
    overlapping = Enum.sum(for _ <- 1..@rounds, do: check_round(type, round))
    more = Stream.repeatedly(fn -> check_round(type, round) end) |> Stream.take(100 * @rounds)
    assert overlapping > 0 or System.schedulers_online() == 1 or Enum.any?(more, &(&1 > 0))
  end

  defp check_round(type, round) do
    table = Table.new(:table, [type, :public])
    history = round.(table)
    Table.delete(table)

    with {:error, %{state: state, next: next}} <-
           Linearizability.check(history, %{}, &model/2) do
      flunk(
        "no order of the calls explains, from #{inspect(state)} on,\n#{inspect(next, pretty: true)}\nin\n#{inspect(history, limit: :infinity)}"
      )
    end

    overlapping(history)
  end

  # How many calls began while another process's was going on.
  defp overlapping(history) do
    events = history |> List.flatten() |> Enum.sort_by(& &1.began)

    Enum.zip(events, tl(events))
    |> Enum.count(fn {one, next} -> next.began < one.ended end)
  end
end
