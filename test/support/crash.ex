defmodule Blanket.Crash do
  @moduledoc """
  Ends a VM that writes to a durable table, and looks at what it has left.

  The VM is another one; its writers say on its output what was acknowledged. Each has keys of its own and
  numbers its changes, all of which are of many keys:

    * `:list`: a list insert of 20 objects with the number,
    * `:transaction`: two objects get the number, a third goes from the key of the number before to that of
      this one, and now and then one of 200 objects more,
    * `:sweep`: a list insert of 50 objects, all of which are deleted by `select_delete/2`,
    * `:counter`: a counter is incremented, the only change of one key.
  """

  alias Blanket.{Table, Transaction}

  @list 20
  @sweep 50
  @many 200
  @kinds [:list, :transaction, :sweep, :counter]

  @type found :: %{kills: non_neg_integer, acknowledged: non_neg_integer, wrong: [String.t()]}

  @doc "Kills so many VMs, one after the other, that write to the same files."
  @spec run(Path.t(), pos_integer, integer, (String.t() -> term)) :: found
  def run(folder, kills, seed, tell \\ fn _ -> :ok end) do
    :rand.seed(:exsss, seed)

    Enum.reduce_while(1..kills, {%{}, %{kills: 0, acknowledged: 0, wrong: []}}, fn number,
                                                                                   {known, found} ->
      kind = Enum.at([:set, :ordered_set], rem(number, 2))
      sync = Enum.at([:always, {:interval, 5}, :manual], rem(div(number, 2), 3))
      path = Path.join(folder, "#{kind}")
      lines = kill_one(path, kind, sync)
      acknowledged = Enum.reduce(lines, Map.get(known, kind, %{}), &note/2)
      wrong = look(path, kind, acknowledged)

      found = %{
        kills: number,
        acknowledged: found.acknowledged + length(lines),
        wrong: Enum.map(wrong, &"kill #{number}, #{kind}, #{inspect(sync)}: #{&1}")
      }

      tell.("#{number}: #{kind}, #{inspect(sync)}, #{length(lines)} acknowledged")
      step = if wrong == [], do: :cont, else: :halt
      {step, {Map.put(known, kind, acknowledged), found}}
    end)
    |> elem(1)
  end

  defp note({writer, number}, acknowledged),
    do: Map.update(acknowledged, writer, number, &max(&1, number))

  ## The other VM

  # Killed while it starts, reads, or writes.
  defp kill_one(path, kind, sync) do
    code = "Blanket.Crash.write(#{inspect(path)}, #{inspect(kind)}, #{inspect(sync)})"
    elixir = System.find_executable("elixir")

    paths =
      Enum.flat_map(
        Path.wildcard(Path.join(Mix.Project.build_path(), "lib/*/ebin")),
        &["-pa", &1]
      )

    options = [:binary, :exit_status, line: 1_000, args: paths ++ ["-e", code]]
    port = Port.open({:spawn_executable, elixir}, options)
    {:os_pid, pid} = Port.info(port, :os_pid)
    kill = fn -> System.cmd("kill", ["-KILL", "#{pid}"], stderr_to_stdout: true) end

    if :rand.uniform(10) == 1 do
      Process.sleep(:rand.uniform(1_500))
      kill.()
      collect(port, [])
    else
      receive do
        {^port, {:data, {:eol, "ready"}}} -> :ok
        {^port, {:exit_status, status}} -> raise "the writing VM ended by itself: #{status}"
      end

      Process.sleep(:rand.uniform(400))
      kill.()
      collect(port, [])
    end
  end

  defp collect(port, lines) do
    receive do
      {^port, {:data, {:eol, "ready"}}} -> collect(port, lines)
      {^port, {:data, {:eol, line}}} -> collect(port, [parse(line) | lines])
      {^port, {:data, {:noeol, _torn}}} -> collect(port, lines)
      {^port, {:exit_status, _status}} -> lines
    end
  end

  defp parse(line) do
    [writer, number] = String.split(line)
    {String.to_existing_atom(writer), String.to_integer(number)}
  end

  @doc "What the other VM does: writes for as long as it lives."
  @spec write(Path.t(), atom, atom | tuple) :: no_return
  def write(path, kind, sync) do
    {:ok, _} = Application.ensure_all_started(:blanket)
    table = Table.new(:crash, [kind, :public, {:durable, path, sync: sync}])
    IO.puts("ready")

    for writer <- @kinds,
        do: spawn_link(fn -> go_on(table, writer, sync, last(table, writer) + 1) end)

    Process.sleep(:infinity)
  end

  defp go_on(table, writer, sync, number) do
    change(table, writer, number)

    # What is not on disk when the call returns is when it was asked for.
    if sync == :always do
      IO.puts("#{writer} #{number}")
    else
      if rem(number, 7) == 0 do
        :ok = Table.flush(table)
        IO.puts("#{writer} #{number}")
      end
    end

    go_on(table, writer, sync, number + 1)
  end

  defp last(table, :counter), do: Table.lookup_element(table, {:counter, 0}, 2, 0)
  defp last(table, writer), do: Table.lookup_element(table, {writer, :last}, 2, 0)

  defp change(table, :list, number) do
    objects = for n <- 1..@list, do: {{:list, n}, number, String.duplicate("x", rem(number, 100))}
    Table.insert(table, [{{:list, :last}, number} | objects])
  end

  defp change(table, :transaction, number) do
    Blanket.transaction(fn tx ->
      Transaction.insert(tx, table, {{:transaction, :last}, number})
      Transaction.insert(tx, table, {{:transaction, :other}, number})
      Transaction.delete(tx, table, {:moved, number - 1})
      Transaction.insert(tx, table, {{:moved, number}, number})

      if rem(number, 10) == 0,
        do: for(n <- 1..@many, do: Transaction.insert(tx, table, {{:many, n}, number}))
    end)
  end

  defp change(table, :sweep, number) do
    objects = for n <- 1..@sweep, do: {{:sweep, n}, number}
    Table.insert(table, [{{:sweep, :last}, number} | objects])
    Table.select_delete(table, [{{{:sweep, :"$1"}, :_}, [{:is_integer, :"$1"}], [true]}])
  end

  defp change(table, :counter, _number),
    do: Table.update_counter(table, {:counter, 0}, 1, {{:counter, 0}, 0})

  ## What is left

  defp look(path, kind, acknowledged) do
    if File.exists?(path) do
      table = Table.new(:crash, [kind, {:durable, path, sync: :manual}])
      wrong = Enum.flat_map(@kinds, &wrong(table, &1, Map.get(acknowledged, &1, 0)))
      Table.delete(table)

      case Table.verify(path) do
        {:ok, _} -> wrong
        error -> ["verify answers #{inspect(error)}" | wrong]
      end
    else
      if acknowledged == %{}, do: [], else: ["there is no file"]
    end
  end

  defp wrong(table, writer, acknowledged) do
    number = last(table, writer)

    lost =
      if number < acknowledged,
        do: ["#{writer} #{acknowledged} was acknowledged, and #{number} is there"],
        else: []

    lost ++ half_done(table, writer, number)
  end

  defp half_done(table, :list, number) do
    expected = if number == 0, do: [], else: for(n <- 1..@list, do: {n, number})
    differ(:list, Enum.sort(keys(table, :list, 3)), expected)
  end

  defp half_done(table, :transaction, number) do
    moved = if number == 0, do: [], else: [{number, number}]
    many = div(number, 10) * 10
    expected = if many == 0, do: [], else: for(n <- 1..@many, do: {n, many})

    differ(:other, Table.lookup_element(table, {:transaction, :other}, 2, 0), number) ++
      differ(:moved, keys(table, :moved, 2), moved) ++
      differ(:many, Enum.sort(keys(table, :many, 2)), expected)
  end

  # All of the objects are there, or none.
  defp half_done(table, :sweep, number) do
    case Enum.sort(keys(table, :sweep, 2)) do
      [] -> []
      found -> differ(:sweep, found, for(n <- 1..@sweep, do: {n, number}))
    end
  end

  defp half_done(_table, :counter, _number), do: []

  defp keys(table, name, size) do
    for object <- Table.tab2list(table),
        tuple_size(object) == size,
        {^name, key} when is_integer(key) <- [elem(object, 0)],
        do: {key, elem(object, 1)}
  end

  defp differ(_what, found, found), do: []

  defp differ(what, found, expected),
    do: ["#{what} is #{inspect(found, limit: 10)}, and not #{inspect(expected, limit: 10)}"]
end
