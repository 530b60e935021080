defmodule SessionStore do
  @moduledoc """
  Sessions of users: created by the process here, read by all.
  """

  use Blanket, table: {__MODULE__, [:named_table, :protected]}

  @type id :: String.t()

  @doc "Creates a session. When this has returned, the session outlives the process that made it."
  @spec create(user :: String.t()) :: id
  def create(user), do: GenServer.call(__MODULE__, {:create, user})

  @doc "The user of a session. Asks no process."
  @spec user(id) :: {:ok, String.t()} | :error
  def user(id) do
    with {:ok, {^id, user, _created}} <- Blanket.Table.fetch(__MODULE__, id), do: {:ok, user}
  end

  @doc "Ends a session."
  @spec delete(id) :: true
  def delete(id), do: GenServer.call(__MODULE__, {:delete, id})

  @impl true
  def handle_call({:create, user}, _from, table) do
    id = Base.url_encode64(:crypto.strong_rand_bytes(16), padding: false)
    Blanket.Table.insert(table, {id, user, System.system_time(:second)})
    {:reply, id, table}
  end

  def handle_call({:delete, id}, _from, table),
    do: {:reply, Blanket.Table.delete(table, id), table}
end
