defmodule Blanket.Test.MnesiaPrograms do
  @moduledoc false

  # What the tests of Blanket.Mnesia do with Mnesia, on the node on which they are called, and for one kind
  # of table like for another. Answers do not tell of what kind the table was, so that they can be compared.

  @attributes [:id, :name, :count]

  ## Mnesia itself

  @doc """
  Starts Mnesia with the schema in memory, and joins the nodes that run it, which takes the same kinds of table.
  """
  def start_in_memory(nodes) do
    load(schema_location: :ram)
    :ok = :mnesia.start()
    :ok = Blanket.Mnesia.register()
    {:ok, _} = :mnesia.change_config(:extra_db_nodes, nodes -- [node()])
    :ok
  end

  def load(environment \\ []) do
    with {:error, reason} <- Application.load(:mnesia), do: {:already_loaded, _} = reason
    for {key, value} <- environment, do: Application.put_env(:mnesia, key, value)
    :ok
  end

  def create_schema(nodes) do
    load()
    :ok = :mnesia.create_schema(nodes)
  end

  def start do
    load()
    :ok = :mnesia.start()
  end

  def await(tables), do: :ok = :mnesia.wait_for_tables(tables, 60_000)

  ## Tables

  @doc """
  The table of this kind, called after what it is for.
  """
  def table(base, kind), do: :"#{base}_#{kind}"

  def create(base, kind, nodes, options) do
    {:atomic, :ok} =
      :mnesia.create_table(
        table(base, kind),
        [{kind, nodes}, record_name: :person, attributes: @attributes] ++ options
      )

    :ok
  end

  def create_counter(base, kind, nodes) do
    {:atomic, :ok} =
      :mnesia.create_table(table(base, kind), [
        {kind, nodes},
        record_name: :counter,
        attributes: [:id, :count]
      ])

    :ok
  end

  @doc """
  What the copy of the table on this node has, in the order of terms.
  """
  def contents(table), do: sort(:mnesia.dirty_select(table, [{:_, [], [:"$_"]}]))

  @doc """
  What the index finds for each of the values.
  """
  def found_by_index(table, values, position),
    do: for(value <- values, do: sort(:mnesia.dirty_index_read(table, value, position)))

  def versions(tables), do: Enum.map(tables, &:mnesia.table_info(&1, :version))

  ## Steps of a program

  @doc """
  Does the step and answers what it answered, `:aborted` for any reason.
  """
  def step({:in, activity, steps}, table) do
    answer(fn -> :mnesia.activity(activity, fn -> Enum.map(steps, &step(&1, table)) end) end)
  end

  def step({:abort, steps}, table) do
    answer(fn ->
      :mnesia.activity(:transaction, fn ->
        Enum.each(steps, &step(&1, table))
        :mnesia.abort(:on_purpose)
      end)
    end)
  end

  def step({:write, object}, table), do: :mnesia.write(table, object, :write)
  def step({:delete, key}, table), do: :mnesia.delete(table, key, :write)
  def step({:delete_object, object}, table), do: :mnesia.delete_object(table, object, :write)
  def step({:read, key}, table), do: sort(:mnesia.read(table, key, :read))
  def step({:match, pattern}, table), do: sort(:mnesia.match_object(table, pattern, :read))
  def step({:select, spec}, table), do: sort(:mnesia.select(table, spec, :read))

  def step({:select, spec, limit}, table),
    do: sort(chunks(:mnesia.select(table, spec, limit, :read)))

  def step({:index_read, value, position}, table),
    do: sort(:mnesia.index_read(table, value, position))

  def step({:index_match, pattern, position}, table),
    do: sort(:mnesia.index_match_object(table, pattern, position, :read))

  def step(:all_keys, table), do: sort(:mnesia.all_keys(table))
  def step(:fold, table), do: sort(:mnesia.foldl(&[&1 | &2], [], table))
  def step(:fold_right, table), do: sort(:mnesia.foldr(&[&1 | &2], [], table))

  def step(:walk, table),
    do: sort(walk(:mnesia.first(table), &:mnesia.next(table, &1)))

  def step(:walk_back, table),
    do: sort(walk(:mnesia.last(table), &:mnesia.prev(table, &1)))

  def step(:size, table), do: :mnesia.table_info(table, :size)

  def step({:count, key, increment}, table),
    do: :mnesia.dirty_update_counter(table, key, increment)

  def step(:clear, table), do: schema(:mnesia.clear_table(table))
  def step({:add_index, position}, table), do: schema(:mnesia.add_table_index(table, position))
  def step({:delete_index, position}, table), do: schema(:mnesia.del_table_index(table, position))
  def step({:delete_copy, node}, table), do: schema(:mnesia.del_table_copy(table, node))

  def step({:add_copy, node, kind}, table),
    do: schema(:mnesia.add_table_copy(table, node, kind))

  def step({:move_copy, from, to}, table),
    do: schema(:mnesia.move_table_copy(table, from, to))

  def step({:change_kind, node, kind}, table),
    do: schema(:mnesia.change_table_copy_type(table, node, kind))

  def step({:transform, fun, attributes}, table),
    do: schema(:mnesia.transform_table(table, fun, attributes))

  defp schema({:atomic, answer}), do: answer
  defp schema({:aborted, _}), do: :aborted

  defp answer(activity) do
    activity.()
  catch
    :exit, {:aborted, _} -> :aborted
  end

  defp chunks(:"$end_of_table"), do: []
  defp chunks({objects, continuation}), do: objects ++ chunks(:mnesia.select(continuation))

  defp walk(:"$end_of_table", _next), do: []
  defp walk(key, next), do: [key | walk(next.(key), next)]

  # Terms that are equal, as 1 and 1.0 are, in one order, too.
  defp sort(terms), do: Enum.sort_by(terms, &{&1, :erlang.term_to_binary(&1)})

  ## Functions for other nodes, which cannot call those of a test

  @doc """
  Counts up the third element, in one more element.
  """
  def transform({:person, id, name, count}), do: {:person, id, name, count, {count, name}}

  def transform(table, attributes) do
    step({:transform, &__MODULE__.transform/1, attributes}, table)
  end

  @doc """
  Tells the events of Mnesia's system from now on, until asked.
  """
  def watch do
    parent = self()

    spawn(fn ->
      Process.register(self(), __MODULE__)
      {:ok, _} = :mnesia.subscribe(:system)
      send(parent, :watching)
      collect([])
    end)

    receive do: (:watching -> :ok)
  end

  defp collect(events) do
    receive do
      {:tell, caller} ->
        send(caller, {:events, Enum.reverse(events)})
        collect(events)

      {:mnesia_system_event, event} ->
        collect([event | events])
    end
  end

  def events do
    send(__MODULE__, {:tell, self()})
    receive do: ({:events, events} -> events)
  end

  @doc """
  Writes to the tables from now on, one object after the other, until `stop_writing/0` answers how many.
  """
  def start_writing(tables) do
    spawn(fn ->
      Process.register(self(), __MODULE__.Writer)
      write_on(tables, 0)
    end)

    :ok
  end

  defp write_on(tables, written) do
    receive do
      {:stop, caller} -> send(caller, {:written, written})
    after
      0 ->
        object = {:person, {:written, written}, "written", written}
        for table <- tables, do: {:atomic, :ok} = write(table, object)
        write_on(tables, written + 1)
    end
  end

  defp write(table, object),
    do: :mnesia.sync_transaction(fn -> :mnesia.write(table, object, :write) end)

  def stop_writing do
    send(__MODULE__.Writer, {:stop, self()})
    receive do: ({:written, written} -> written)
  end

  def fill(table, count) do
    for n <- 1..count,
        do: :ok = :mnesia.dirty_write(table, {:person, n, "name #{rem(n, 10)}", n})

    :ok
  end

  @doc """
  Kills the process of this name and waits for the next one.
  """
  def kill(name) do
    killed = Process.whereis(name)
    Process.exit(killed, :kill)
    Blanket.Test.Eventually.eventually(fn -> Process.whereis(name) not in [nil, killed] end)
  end

  @doc """
  What a node that joins is sent, of a table that is written to before the first of it is read, and from
  then on.
  """
  def sent_while_written(table) do
    {:standard, init, read} =
      Blanket.Mnesia.sender_init(:blanket_copies, table, :ram_copies, self())

    {[], beginning} = init.()
    :ok = :mnesia.dirty_write(table, {:person, 5001, "name 1", 5001})
    read_on(read.(beginning), read, table)
  end

  defp read_on(:"$end_of_table", _read, _table), do: []

  defp read_on({objects, continuation}, read, table) do
    {:atomic, :ok} = :mnesia.clear_table(table)
    fill(table, 10_000)
    objects ++ read_on(read.(continuation), read, table)
  end

  @doc """
  What the functions answer that take no part in a transaction.
  """
  def dirty_answers(table) do
    spec = [{{:person, :"$1", "name 3", :_}, [{:>, :"$1", 20}], [:"$1"]}]

    %{
      size: :mnesia.table_info(table, :size),
      keys: sort(:mnesia.dirty_all_keys(table)),
      forth: sort(walk(:mnesia.dirty_first(table), &:mnesia.dirty_next(table, &1))),
      back: sort(walk(:mnesia.dirty_last(table), &:mnesia.dirty_prev(table, &1))),
      slots: table |> slots(0) |> List.flatten() |> sort(),
      read: :mnesia.dirty_read(table, 7),
      nothing: :mnesia.dirty_read(table, 0),
      match: sort(:mnesia.dirty_match_object(table, {:person, :_, "name 3", :_})),
      select: sort(:mnesia.dirty_select(table, spec)),
      no_key: catch_exit(fn -> :mnesia.dirty_next(table, :none) end),
      deleted: for(_ <- 1..2, do: :mnesia.dirty_delete(table, 1)),
      deleted_object: :mnesia.dirty_delete_object(table, {:person, 2, "name 2", 2}),
      left: contents(table)
    }
  end

  defp slots(table, position) do
    case :mnesia.dirty_slot(table, position) do
      :"$end_of_table" -> []
      objects -> [objects | slots(table, position + 1)]
    end
  end

  # An ordered_set has a next key of any.
  defp catch_exit(fun) do
    fun.()
  catch
    :exit, {:aborted, {reason, _}} -> reason
  end

  @doc """
  Writes to a fragmented table, adds and removes fragments, and answers all that it has.
  """
  def fragment(table, count) do
    in_fragments = &:mnesia.activity(:sync_transaction, &1, [], :mnesia_frag)

    in_fragments.(fn ->
      for n <- 1..count, do: :mnesia.write(table, {:person, n, "name", n}, :write)
    end)

    {:atomic, :ok} = :mnesia.change_table_frag(table, {:add_frag, [node()]})
    {:atomic, :ok} = :mnesia.change_table_frag(table, {:add_frag, [node()]})
    {:atomic, :ok} = :mnesia.change_table_frag(table, :del_frag)
    in_fragments.(fn -> sort(:mnesia.foldl(&[&1 | &2], [], table)) end)
  end

  @doc """
  Makes a backup of the tables as they are, and writes to them before they are read for it.
  """
  def backup_while_written(tables, file) do
    {:ok, name, _nodes} =
      :mnesia.activate_checkpoint(max: [:schema | tables], ram_overrides_dump: true)

    for table <- tables, n <- 1..50, do: :mnesia.dirty_delete(table, n)
    for table <- tables, n <- 51..150, do: :mnesia.dirty_write(table, {:person, n, "later", -n})
    :ok = :mnesia.backup_checkpoint(name, file)
    :mnesia.deactivate_checkpoint(name)
  end
end
