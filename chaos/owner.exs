defmodule Chaos.Owner do
  # An owner as users write one, with one table or two. It writes and reads for those who may not.

  use GenServer
  use Blanket

  alias Blanket.Table
  alias Chaos.{Findings, Ledger, Operation, Plan, Reading}

  def child_spec(owner), do: %{id: owner.id, start: {__MODULE__, :start_link, [owner]}}

  def start_link(owner) do
    with :ok <- create(owner), do: GenServer.start_link(__MODULE__, owner, name: owner.name)
  end

  defp create(%{found: :claim}), do: :ok

  defp create(owner) do
    Enum.reduce_while(owner.tables, :ok, fn table, :ok ->
      opts = [transient: owner.transient?]

      case Blanket.new(__MODULE__, owner.name, {table.name, table.options}, opts) do
        {:ok, _heir} -> {:cont, :ok}
        {:error, _} = error -> {:halt, error}
      end
    end)
  end

  @doc "Calls the owner; `:failed` when it does not answer, and may have done it or not."
  def call(name, message) do
    GenServer.call(name, message, :infinity)
  catch
    :exit, _ -> :failed
  end

  @impl true
  def init(owner) do
    tables = Map.new(owner.tables, &{&1.id, {&1, receive_table(owner, &1)}})
    {:ok, %{owner: owner, tables: tables, writers: %{}}}
  end

  defp receive_table(owner, table) do
    {:ok, identity} = await_table(owner, table)
    reference = Table.info(identity, :id)

    if former = Ledger.hold(table, reference),
      do: Findings.add("two owners", {table, self(), former})

    reference
  end

  defp await_table(%{found: :claim} = owner, table) do
    create = {table.name, table.options}

    case Blanket.claim_table(Plan.ref(owner, table), create_table: create) do
      {:ok, identity} ->
        {:ok, identity}

      # It was given away, or the application is just being started again.
      {:error, reason} when reason in [:already_owned, {:not_started, :blanket}] ->
        Process.sleep(1)
        await_table(owner, table)
    end
  end

  defp await_table(%{tables: [_]}, _table), do: Blanket.receive_table(:infinity)
  defp await_table(_owner, table), do: Blanket.receive_table(table.name, :infinity)

  @impl true
  def handle_call({:open, id, lane, writer}, _from, state) do
    {table, reference} = state.tables[id]
    answer = Reading.lane(reference, table, lane)
    {:reply, {:ok, reference, answer}, put_in(state.writers[lane], writer)}
  end

  # What a writer asked for before it was killed is done no more once its successor has looked.
  def handle_call({_, _, lane, writer, _}, _from, state)
      when is_map_key(state.writers, lane) and :erlang.map_get(lane, state.writers) > writer,
      do: {:reply, :too_late, state}

  def handle_call({:run, id, _lane, _writer, operation}, _from, state)
      when operation in [:recreate, :abandon, :leave],
      do: end_of_life(operation, state.tables[id], state)

  def handle_call({:run, id, lane, _writer, operation}, _from, state) do
    {table, reference} = state.tables[id]
    {:reply, {:ok, Operation.run(reference, table, lane, operation)}, state}
  end

  def handle_call({:read, id, lane, means}, _from, state) do
    {table, reference} = state.tables[id]
    {:reply, {:ok, Reading.run(means, reference, table, lane)}, state}
  end

  def handle_call(:tables, _from, state) do
    {:reply, {:ok, Map.new(state.tables, fn {id, {_, reference}} -> {id, reference} end)}, state}
  end

  defp end_of_life(:recreate, {table, reference}, state) do
    Table.delete(reference)

    case create(state.owner) do
      :ok ->
        reference = receive_table(state.owner, table)
        {:reply, {:ok, :ok}, put_in(state.tables[table.id], {table, reference})}

      # The next start creates it.
      {:error, reason} ->
        {:stop, reason, state}
    end
  end

  defp end_of_life(:abandon, {_table, reference}, state),
    do: {:stop, :shutdown, {:ok, Blanket.abandon_table(reference)}, state}

  defp end_of_life(:leave, _table, state), do: {:stop, :normal, {:ok, :ok}, state}

  @impl true
  def handle_cast({:give_away, id, to}, state) do
    {table, reference} = state.tables[id]
    Ledger.release(table)

    reference =
      try do
        Table.give_away(reference, to, :gift)
        receive_table(state.owner, table)
      rescue
        # It was dead already.
        ArgumentError ->
          Ledger.hold(table, reference)
          reference
      end

    {:noreply, put_in(state.tables[id], {table, reference})}
  end

  def handle_cast({:rename, id}, state) do
    {table, reference} = state.tables[id]
    [new] = Plan.names(table) -- [Table.info(reference, :name)]
    Table.rename(reference, new)

    for name <- Plan.names(table) do
      wanted = if name == new and table.named?, do: reference, else: :undefined
      found = Table.whereis(name)
      if found != wanted, do: Findings.add("renamed", {table, name, found, wanted})
    end

    {:noreply, state}
  end

  @impl true
  def handle_info(_junk, state), do: {:noreply, state}
end
