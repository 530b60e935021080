defmodule Blanket.SerializabilityTest do
  # Concurrent histories of transactions, and of calls outside of any: there has to be an order in which
  # they explain each other, one after the other, and in which none that had returned comes after one that
  # began later. A process that was killed may have done its last or not.
  use ExUnit.Case, async: true

  alias Blanket.{Linearizability, Table, Transaction}

  @rounds 150
  @keys 0..4

  for types <- [
        [:set, :set],
        [:set, :ordered_set],
        [:ordered_set, :bag],
        [:duplicate_bag, :set],
        [:ordered_set, :ordered_set]
      ] do
    test "of transactions on #{Enum.join(types, " and ")}" do
      check_rounds(unquote(types), fn tables ->
        record(tables, for(_ <- 1..3, do: calls(unquote(types), 5)), [])
      end)
    end

    test "of killed ones on #{Enum.join(types, " and ")}" do
      check_rounds(unquote(types), fn tables ->
        programs = for _ <- 1..2, do: calls(unquote(types), 4)
        record(tables, programs, for(_ <- 1..2, do: calls(unquote(types), 20)))
      end)
    end
  end

  test "the checker sees what is not serializable" do
    skew = [
      [event([{:get, 0, 1}, {:put, 0, 2, 7}], [[]], 0, 10)],
      [event([{:get, 0, 2}, {:put, 0, 1, 7}], [[]], 0, 10)]
    ]

    assert {:error, _} = Linearizability.check(skew, %{}, model([:set, :set]))

    phantom = [
      [event([{:count, 0}, {:put, 1, 1, 1}], [0], 0, 10)],
      [event([{:count, 1}, {:put, 0, 1, 1}], [0], 0, 10)]
    ]

    assert {:error, _} = Linearizability.check(phantom, %{}, model([:set, :set]))

    stale = [
      [event([{:put, 0, 1, 7}], [], 0, 1)],
      [event([{:get, 0, 1}, {:count, 0}], [[], 0], 2, 3)]
    ]

    assert {:error, _} = Linearizability.check(stale, %{}, model([:set, :set]))
  end

  defp event(call, answer, began, ended),
    do: %{call: call, answer: answer, began: began, ended: ended}

  ## Programs: what a transaction does, and what a call outside does, which is a program of one step

  defp calls(types, count), do: for(_ <- 1..count, do: call(types))

  defp call(types) do
    case :rand.uniform(5) do
      1 -> {:plain, Enum.random([{:get, table(), key()}, {:put, table(), key(), value()}])}
      _ -> for _ <- 1..:rand.uniform(4), do: step(types)
    end
  end

  defp step(types) do
    table = table()

    case :rand.uniform(12) do
      n when n <= 4 ->
        {:get, table, key()}

      n when n <= 6 ->
        {:put, table, key(), value()}

      n when n <= 8 ->
        {:copy, table, key(), table(), key()}

      9 ->
        {:delete, table, key()}

      10 ->
        {:count, table}

      11 ->
        if Enum.at(types, table) == :ordered_set, do: {:next, table, key()}, else: {:all, table}

      12 ->
        {:count_below, table, key()}
    end
  end

  defp table, do: Enum.random(0..1)
  defp key, do: Enum.random(@keys)
  defp value, do: :rand.uniform(1000)

  ## On tables

  defp perform(tables, {:plain, {:get, at, key}}), do: [Table.lookup(elem(tables, at), key)]

  defp perform(tables, {:plain, {:put, at, key, value}}) do
    Table.insert(elem(tables, at), {key, value})
    []
  end

  defp perform(tables, steps) do
    {:ok, answers} =
      Blanket.transaction(fn tx ->
        Enum.flat_map(steps, fn step ->
          answer = perform_step(tx, tables, step)
          if :rand.uniform(3) == 1, do: :erlang.yield()
          answer
        end)
      end)

    answers
  end

  defp perform_step(tx, tables, {:get, at, key}),
    do: [Transaction.lookup(tx, elem(tables, at), key)]

  defp perform_step(tx, tables, {:put, at, key, value}) do
    Transaction.insert(tx, elem(tables, at), {key, value})
    []
  end

  defp perform_step(tx, tables, {:copy, from, key, to, other}) do
    for {_key, value} <- Transaction.lookup(tx, elem(tables, from), key),
        do: Transaction.insert(tx, elem(tables, to), {other, value})

    []
  end

  defp perform_step(tx, tables, {:delete, at, key}) do
    Transaction.delete(tx, elem(tables, at), key)
    []
  end

  defp perform_step(tx, tables, {:count, at}),
    do: [Transaction.select_count(tx, elem(tables, at), [{:_, [], [true]}])]

  defp perform_step(tx, tables, {:count_below, at, key}) do
    spec = [{{:"$1", :_}, [{:<, :"$1", key}], [true]}]
    [Transaction.select_count(tx, elem(tables, at), spec)]
  end

  defp perform_step(tx, tables, {:next, at, key}),
    do: [Transaction.next(tx, elem(tables, at), key)]

  defp perform_step(tx, tables, {:all, at}),
    do: [Enum.sort(Transaction.tab2list(tx, elem(tables, at)))]

  ## On the model: the objects of each key of each table

  defp model(types) do
    fn
      {:plain, step}, state -> run([step], state, types)
      steps, state -> run(steps, state, types)
    end
  end

  defp run(steps, state, types) do
    {answers, state} = Enum.flat_map_reduce(steps, state, &model_step(&1, &2, types))
    {answers, state}
  end

  defp model_step({:get, at, key}, state, _), do: {[Map.get(state, {at, key}, [])], state}

  defp model_step({:put, at, key, value}, state, types),
    do: {[], put(state, at, {key, value}, types)}

  defp model_step({:copy, from, key, to, other}, state, types) do
    objects = Map.get(state, {from, key}, [])
    {[], Enum.reduce(objects, state, fn {_, v}, state -> put(state, to, {other, v}, types) end)}
  end

  defp model_step({:delete, at, key}, state, _), do: {[], Map.delete(state, {at, key})}
  defp model_step({:count, at}, state, _), do: {[length(objects(state, at))], state}

  defp model_step({:count_below, at, key}, state, _),
    do: {[Enum.count(objects(state, at), &(elem(&1, 0) < key))], state}

  defp model_step({:all, at}, state, _), do: {[Enum.sort(objects(state, at))], state}

  defp model_step({:next, at, key}, state, _) do
    keys = for {next, _} <- objects(state, at), next > key, do: next
    {[Enum.min(keys, fn -> :"$end_of_table" end)], state}
  end

  defp objects(state, at), do: for({{^at, _}, objects} <- state, object <- objects, do: object)

  defp put(state, at, {key, _} = object, types) do
    there = Map.get(state, {at, key}, [])

    objects =
      case Enum.at(types, at) do
        :bag -> if object in there, do: there, else: there ++ [object]
        :duplicate_bag -> there ++ [object]
        _ -> [object]
      end

    Map.put(state, {at, key}, objects)
  end

  ## Recording

  defp record(tables, programs, victims) do
    parent = self()

    pids =
      for {calls, number} <- Enum.with_index(programs ++ victims) do
        :erlang.spawn_opt(
          fn ->
            receive do: (:go -> :ok)
            Enum.each(calls, &perform_recorded(tables, &1, parent))
            send(parent, {:finished, self()})
            receive do: (:exit -> :ok)
          end,
          [:monitor, scheduler: rem(number, System.schedulers_online()) + 1]
        )
      end

    for {pid, _} <- pids, do: send(pid, :go)
    {workers, killed} = Enum.split(pids, length(programs))

    for {pid, monitor} <- killed do
      for _ <- 1..:rand.uniform(2000), do: :ok
      if :rand.uniform(2) == 1, do: :erlang.yield()
      Process.exit(pid, :kill)
      receive do: ({:DOWN, ^monitor, _, _, _} -> :ok)
    end

    for {pid, monitor} <- workers do
      receive do
        {:finished, ^pid} -> :ok
        {:DOWN, ^monitor, _, _, reason} -> flunk("a transaction ended with #{inspect(reason)}")
      end

      send(pid, :exit)
      receive do: ({:DOWN, ^monitor, _, _, _} -> :ok)
    end

    for {pid, _} <- pids, do: events(pid)
  end

  defp perform_recorded(tables, call, parent) do
    send(parent, {:began, self(), call, System.monotonic_time()})
    answer = perform(tables, call)
    send(parent, {:ended, self(), answer, System.monotonic_time()})
  end

  defp events(pid) do
    receive do
      {:began, ^pid, call, began} ->
        receive do
          {:ended, ^pid, answer, ended} -> [event(call, answer, began, ended) | events(pid)]
        after
          0 -> [event(call, nil, began, :never)]
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

  # Without transactions at the same time there would be nothing to check.
  defp check_rounds(types, round) do
    overlapping = for _ <- 1..@rounds, do: check_round(types, round)
    assert Enum.sum(overlapping) > @rounds
  end

  defp check_round(types, round) do
    tables = types |> Enum.map(&Table.new(:table, [&1, :public])) |> List.to_tuple()
    history = round.(tables)
    last = event([{:all, 0}, {:all, 1}], perform(tables, [{:all, 0}, {:all, 1}]), now(), now())
    for table <- Tuple.to_list(tables), do: Table.delete(table)

    with {:error, %{state: state, next: next}} <-
           Linearizability.check(history ++ [[last]], %{}, model(types)) do
      flunk(
        "no order of the transactions explains, from #{inspect(state)} on,\n#{inspect(next, pretty: true)}\nin\n#{inspect(history, limit: :infinity)}"
      )
    end

    overlapping(history)
  end

  defp now, do: System.monotonic_time()

  # How many began while another process's was going on.
  defp overlapping(history) do
    events = history |> List.flatten() |> Enum.sort_by(& &1.began)

    Enum.zip(events, tl(events))
    |> Enum.count(fn {one, next} -> next.began < one.ended end)
  end
end
