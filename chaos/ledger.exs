defmodule Chaos.Ledger do
  # What has to be in the tables, and who owns them, written down outside: in tables of :ets whose owner
  # nobody kills. A writer notes an operation before it begins and, when it is answered, what is there
  # then. So a lane has at most one operation of which nobody knows whether it happened.
  #
  #     lanes      {lane, version, contents, operation or nil}
  #     writers    {lane, how many there have been}
  #     holders    {table's id, pid, reference}

  @tables [:lanes, :writers, :holders]

  def open(owners) do
    for table <- @tables,
        do: :ets.new(name(table), [:named_table, :public, write_concurrency: true])

    for owner <- owners, table <- owner.tables, lane <- table.lanes do
      :ets.insert(name(:lanes), {lane, 0, %{}, nil})
      :ets.insert(name(:writers), {lane, 0})
    end
  end

  def close, do: for(table <- @tables, do: :ets.delete(name(table)))

  defp name(table), do: Module.concat(__MODULE__, table)

  def lane(lane) do
    [{_lane, version, contents, operation}] = :ets.lookup(name(:lanes), lane)
    {version, contents, operation}
  end

  @doc "An operation begins."
  def begin(lane, version, contents, operation),
    do: :ets.insert(name(:lanes), {lane, version, contents, operation})

  @doc "The operation is over, and these are the contents."
  def settle(lane, version, contents),
    do: :ets.insert(name(:lanes), {lane, version, contents, nil})

  @doc "The number of a new writer of the lane: who has a lesser one is dead."
  def new_writer(lane), do: :ets.update_counter(name(:writers), lane, 1)

  @doc """
  The calling process owns the table. Answers who owned it before, if that one is alive.
  """
  def hold(table, reference) do
    former = :ets.lookup(name(:holders), table.id)
    :ets.insert(name(:holders), {table.id, self(), reference})

    case former do
      [{_, pid, _}] when pid != self() and is_pid(pid) -> if Process.alive?(pid), do: pid
      _ -> nil
    end
  end

  @doc "The calling process is about to own the table no more."
  def release(table), do: :ets.update_element(name(:holders), table.id, {2, nil})

  @doc "The reference of the table, as its last owner knew it."
  def reference(table) do
    case :ets.lookup(name(:holders), table.id) do
      [{_, _pid, reference}] -> reference
      [] -> nil
    end
  end
end
